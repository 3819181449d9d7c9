"""`foldline worker`: maintains read models and sends deliveries, without the API."""

from __future__ import annotations

from typing import Annotated

import typer

from interfaces.cli.options import DELIVERY_SETTINGS, with_settings
from interfaces.cli.output import print_status
from interfaces.cli.worker_roles import WorkerRole
from interfaces.settings import Settings

RoleOption = Annotated[
    WorkerRole | None,
    typer.Option(
        help="Run one role only: maintain the read models, or fire rules and deliver.",
        show_default=False,
    ),
]

_ROLE_SUMMARIES = {
    WorkerRole.READ_MODELS: "maintains the read models; another worker must deliver",
    WorkerRole.SENDING: "fires rules and delivers; another worker must maintain the read models",
}


@with_settings(*DELIVERY_SETTINGS)
def worker(*, settings: Settings, only: RoleOption = None) -> None:
    """Maintain read models and send deliveries, without the API.

    Runs until Ctrl-C or SIGTERM. For deployments where the API runs as `foldline serve --no-worker`. Several workers
    may run at once; each batch is applied once. Under high delivery load, run two workers, one for each role of
    `--only`, so that each role has its own core.
    """
    import threading

    from interfaces.bootstrap import tune_garbage_collector
    from interfaces.cli.database_context import connected_service
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.worker_threads import run_worker_threads

    with exit_on_signals(), connected_service(settings) as svc:
        tune_garbage_collector()
        # Work runs in threads: a signal, which the main thread handles, must not interrupt a batch.
        with run_worker_threads(svc, only):
            summary = "follows the ledger" if only is None else _ROLE_SUMMARIES[only]
            print_status(f"The worker {summary}. Press Ctrl-C to stop.")
            threading.Event().wait()
