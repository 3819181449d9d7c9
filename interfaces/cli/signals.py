"""Stop signals: turns them into a clean exit, and follows a parent process."""

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
    """Turn Ctrl-C and SIGTERM into an exit with code 0 that closes all resources.

    A stop signal is the normal end of a server; a supervisor would treat any other code as a crash.
    """
    previous = {number: signal.signal(number, _exit_once) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            if signal.getsignal(number) is _exit_once:  # unchanged while stopping: see _exit_once
                signal.signal(number, handler)


def exit_with_parent() -> None:
    """Stop this process when its parent is gone, for example killed: nothing else would stop it."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _exit_once(_number: int, _frame: FrameType | None) -> None:
    for number in STOP_SIGNALS:  # a second signal would interrupt the clean stop
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)
