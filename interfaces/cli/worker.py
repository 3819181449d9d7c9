"""`foldline worker`: keep the read models up to date, and send what is due, without an API."""

from __future__ import annotations

from interfaces.cli.options import SENDING, takes
from interfaces.cli.output import say
from interfaces.settings import Settings


@takes(*SENDING)
def worker(*, settings: Settings) -> None:
    """Keep the read models up to date, and send what is due, without an API.

    Runs until Ctrl-C or SIGTERM. For deployments where the API runs as `foldline serve --no-worker`. Several workers may run at once: whoever
    takes a batch first applies it.
    """
    import threading

    from interfaces.bootstrap import settle
    from interfaces.cli.opening import opened
    from interfaces.cli.projecting import projecting
    from interfaces.cli.signals import exit_on_signals

    with exit_on_signals(), opened(settings) as svc:
        settle()
        with projecting(svc):  # a thread: a signal in the middle of a batch must not break it off
            say("The worker follows the ledger. Ctrl-C stops it.")
            threading.Event().wait()
