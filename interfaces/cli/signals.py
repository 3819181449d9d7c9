"""How a process is told to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an ordinary exit with code 0, so that everything open is closed.

    Being told to stop is how a server ends well; a supervisor would take any other code for a crash.
    """
    before = {number: signal.signal(number, _exit_once) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _exit_once:  # not while stopping: see below
                signal.signal(number, handler)


def exit_with_parent() -> None:
    """Stop when the parent is gone, killed say: it owns the database, and nobody else would stop us."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _exit_once(_number: int, _frame: FrameType | None) -> None:
    for number in STOP_SIGNALS:  # once is enough; a second would break off the clean stop
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)
