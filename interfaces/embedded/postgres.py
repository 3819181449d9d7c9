"""Embedded PostgreSQL under the home folder, shared by all processes that open it.

The first process that opens a home starts the server, further processes share it, the last one stops it.
Processes in use are tracked by locks (``flock``) rather than by a list of process ids: the kernel releases
the lock of a killed process, so that process neither keeps the server running forever nor causes it to be
stopped while others use it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from interfaces.embedded.account import EmbeddedUnavailable
from interfaces.embedded.cluster import START_SECONDS, Cluster


class EmbeddedPostgres:
    """Context manager for the database of a home folder: ``with EmbeddedPostgres(home) as dsn``.

    While it is open, SIGTERM and SIGHUP raise ``SystemExit`` unless the process handles them itself, so
    that every exit except ``kill -9`` calls ``close``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.cluster = Cluster(self.home / "postgres")
        self._usage_lock: int | None = (
            None  # file descriptor; its shared lock marks the database as in use
        )
        self._opened_by = 0
        self._dsn = ""
        self._handlers: dict[int, Any] = {}

    def open(self) -> str:
        """Start or share the database; return its libpq address.  Raises ``EmbeddedUnavailable``."""
        if self._usage_lock is not None:
            return self._dsn
        self._exit_on_signals()
        try:
            # PostgreSQL's user must be able to traverse root's home folder.
            self.home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            with self._exclusive():
                self._opened_by = os.getpid()
                self._usage_lock = _open_lock_file(self.home / "postgres.users")
                fcntl.flock(self._usage_lock, fcntl.LOCK_SH)
                self._dsn = self.cluster.ensure_running()
        except OSError as error:
            self._abort_open()
            raise EmbeddedUnavailable(
                f"{error.filename or self.home}: {error.strerror}. Set FOLDLINE_HOME to a folder of your own, "
                "or FOLDLINE_DSN to a PostgreSQL server"
            ) from error
        except BaseException:
            self._abort_open()
            raise
        atexit.register(self.close)
        return self._dsn

    def ensure_running(self) -> None:
        """Restart the server if it has died; cheap enough to call after every failed connection."""
        with self._exclusive():
            self.cluster.ensure_running()

    def close(self) -> bool:
        """Release the database; stop it if no other process has it open.  True if it was stopped."""
        # A forked child inherits the parent's lock and must not release it.
        if self._usage_lock is None or self._opened_by != os.getpid():
            return False
        atexit.unregister(self.close)
        users, self._usage_lock = self._usage_lock, None
        try:
            with self._exclusive():
                last = _try_lock(users, fcntl.LOCK_EX)
                if last:
                    self.cluster.stop()
        except FileNotFoundError:
            last = False  # the home was deleted; the server detects that within a minute
        finally:
            os.close(users)
            self._restore_signals()
        return last

    def _abort_open(self) -> None:
        self.close()
        self._restore_signals()

    def __enter__(self) -> str:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold the lock under which one process at a time starts or stops the server."""
        file = _open_lock_file(self.home / "postgres.lock")
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _try_lock(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise EmbeddedUnavailable(
                        f"Another process has been starting or stopping the database under {self.home} for "
                        f"{START_SECONDS // 60} minutes. See {self.cluster.log}, end that process and try again"
                    )
                time.sleep(0.02)
            yield
        finally:
            os.close(file)

    def _exit_on_signals(self) -> None:
        """Turn signals that would kill the process at once into an ordinary exit."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._handlers[number] = signal.signal(number, _exit)

    def _restore_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            while self._handlers:
                number, handler = self._handlers.popitem()
                signal.signal(number, handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second signal would interrupt the clean stop
    raise SystemExit(128 + number)


def _open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(file: int, mode: int) -> bool:
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
