"""`foldline worker`: keep the read models up to date, and send what is due, without an API."""

from __future__ import annotations

from typing import Annotated

import typer

from interfaces.cli.options import SENDING, takes
from interfaces.cli.output import say
from interfaces.cli.worker_roles import Part
from interfaces.settings import Settings

Only = Annotated[
    Part | None,
    typer.Option(
        help="Do one part only, and leave the other to another worker: keep the read models, or fire rules and send.",
        show_default=False,
    ),
]

_DOES = {
    Part.READ_MODELS: "keeps the read models; another one has to send",
    Part.SENDING: "fires rules and sends; another one has to keep the read models",
}


@takes(*SENDING)
def worker(*, settings: Settings, only: Only = None) -> None:
    """Keep the read models up to date, and send what is due, without an API.

    Runs until Ctrl-C or SIGTERM. For deployments where the API runs as `foldline serve --no-worker`. Several workers may run at once: whoever
    takes a batch first applies it. Where much is sent, two workers with `--only` leave each part a core of its own.
    """
    import threading

    from interfaces.bootstrap import settle
    from interfaces.cli.database_context import opened
    from interfaces.cli.signals import exit_on_signals
    from interfaces.cli.worker_threads import projecting

    with exit_on_signals(), opened(settings) as svc:
        settle()
        # In threads: a signal in the middle of a batch must not break it off.
        with projecting(svc, only):
            does = "follows the ledger" if only is None else _DOES[only]
            say(f"The worker {does}. Ctrl-C stops it.")
            threading.Event().wait()
