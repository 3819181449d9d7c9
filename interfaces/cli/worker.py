"""`foldline worker`: keep the read models up to date, and send what is due, without an API."""

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
        help="Do one part only, and leave the other to another worker: keep the read models, or fire rules and send.",
        show_default=False,
    ),
]

_ROLE_SUMMARIES = {
    WorkerRole.READ_MODELS: "keeps the read models; another one has to send",
    WorkerRole.SENDING: "fires rules and sends; another one has to keep the read models",
}


@with_settings(*DELIVERY_SETTINGS)
def worker(*, settings: Settings, only: RoleOption = None) -> None:
    """Keep the read models up to date, and send what is due, without an API.

    Runs until Ctrl-C or SIGTERM. For deployments where the API runs as `foldline serve --no-worker`. Several workers may run at once: whoever
    takes a batch first applies it. Where much is sent, two workers with `--only` leave each part a core of its own.
    """
    import threading

    from interfaces.bootstrap import tune_garbage_collector
    from interfaces.cli.database_context import connected_service
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.worker_threads import run_worker_threads

    with exit_on_signals(), connected_service(settings) as svc:
        tune_garbage_collector()
        # In threads: a signal in the middle of a batch must not break it off.
        with run_worker_threads(svc, only):
            does = "follows the ledger" if only is None else _ROLE_SUMMARIES[only]
            print_status(f"The worker {does}. Ctrl-C stops it.")
            threading.Event().wait()
