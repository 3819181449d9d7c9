"""A server in a process of its own, started as a user would start it."""

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
"""The ``foldline serve`` command, installed or not."""

READY_WITHIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that is ready."""

    port: int
    pid: int
    ready_after: float
    """Seconds from its start to the first 200 of ``/healthz/ready``."""

    def memory(self) -> float:
        """Returns the resident megabytes of its processes, without those of PostgreSQL."""
        parent = psutil.Process(self.pid)
        family = (parent, *parent.children(recursive=True))
        return (
            sum(process.memory_info().rss for process in family if "postgres" not in process.name())
            / 1_000_000
        )


@contextmanager
def serving(*options: str, dsn: str | None = None, home: Path | None = None) -> Iterator[Server]:
    """Serves a database, or the embedded one of a home, until exit."""
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
                    raise AssertionError(
                        f"the server did not start:\n{log.read().decode()[-4000:]}"
                    )
                time.sleep(0.005)
            after = time.perf_counter() - started
            yield Server(port=port, pid=process.pid, ready_after=after)


@contextmanager
def serving_as_compose(dsn: str, **settings: str) -> Iterator[Server]:
    """Serves a database as `docker-compose.yml` does: an API process and two workers.

    ``settings`` are the workers'.
    """
    with (
        serving("--no-worker", dsn=dsn) as server,
        working("read-models", dsn, **settings),
        working("sending", dsn, **settings),
    ):
        yield server


@contextmanager
def working(role: str, dsn: str, **settings: str) -> Iterator[None]:
    """Runs a worker with one role until exit, as `docker-compose.yml` does."""
    environment, quiet = clean_environment(FOLDLINE_DSN=dsn, **settings), subprocess.DEVNULL
    command = [*SERVE[:-1], "worker", "--only", role]
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
