"""A Foldline that serves, in a process of its own, as a user would start it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import psutil

from tests.benchmarks.process import clean_environment, free_port, running

SERVE = [sys.executable, "-m", "interfaces.cli.main", "serve"]
"""What the ``foldline`` command runs, whether or not it is installed."""

READY_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """One that is ready."""

    port: int
    pid: int
    ready_after: float
    """Seconds from its start to the first 200 of ``/healthz/ready``."""

    def memory(self) -> float:
        """Resident megabytes of its Python processes: all but those of PostgreSQL."""
        first = psutil.Process(self.pid)
        ours = [
            it for it in (first, *first.children(recursive=True)) if "postgres" not in it.name()
        ]
        return sum(it.memory_info().rss for it in ours) / 1_000_000


@contextmanager
def serving(*options: str, dsn: str | None = None, home: Path | None = None) -> Iterator[Server]:
    """Serve a database, or the embedded one of a home, while inside."""
    port = free_port()
    settings = {"FOLDLINE_PORT": str(port), "FOLDLINE_HOST": "127.0.0.1"}
    if dsn is not None:
        settings["FOLDLINE_DSN"] = dsn
    if home is not None:
        settings["FOLDLINE_HOME"] = str(home)
    environment = clean_environment(**settings)
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        with running([*SERVE, *options], env=environment, stdout=log, stderr=log) as process:
            while not _ready(port):
                if (
                    process.poll() is not None
                    or time.perf_counter() - started > READY_WITHIN_SECONDS
                ):
                    log.seek(0)
                    raise AssertionError(f"it did not start:\n{log.read().decode()[-4000:]}")
                time.sleep(0.005)
            after = time.perf_counter() - started
            yield Server(port=port, pid=process.pid, ready_after=after)


@contextmanager
def apart(dsn: str, **settings: str) -> Iterator[Server]:
    """Serve a database as `docker-compose.yml` does: the API and the two workers are processes of their own.

    `settings` are the workers'.
    """
    with (
        serving("--no-worker", dsn=dsn) as server,
        working("read-models", dsn, **settings),
        working("sending", dsn, **settings),
    ):
        yield server


@contextmanager
def working(part: str, dsn: str, **settings: str) -> Iterator[None]:
    """Have a worker do its part while inside, as `docker-compose.yml` does."""
    environment, quiet = clean_environment(FOLDLINE_DSN=dsn, **settings), subprocess.DEVNULL
    command = [*SERVE[:-1], "worker", "--only", part]
    with running(command, env=environment, stdout=quiet, stderr=quiet):
        yield


def _ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
