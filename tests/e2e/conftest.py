"""Fixtures: one server for all tests that do not break it, with a workspace for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil
import pytest

from interfaces.embedded.postgres import EmbeddedPostgres
from tests import processes
from tests.e2e.tenants import Tenant, tenant
from tests.fix_postgres import Template, clone, homes
from tests.serving import Server, wait_until

_numbers = count(1)


@dataclass(frozen=True)
class Served:
    server: Server
    dsn: str


@pytest.fixture(scope="session")
def served(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running server shared by tests: they may send it anything, but must not stop it."""
    with (
        clone(template) as dsn,
        Server.on(tmp_path_factory.mktemp("served"), dsn) as server,
    ):
        yield Served(server, dsn)


@pytest.fixture
def shop(served: Served) -> Tenant:
    """An empty workspace of the shared server."""
    return tenant(served.server, served.dsn, f"shop-{next(_numbers)}")


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server of one test, which may be killed."""

    embedded: EmbeddedPostgres
    dsn: str

    @property
    def postmaster(self) -> psutil.Process:
        recorded = (self.embedded.cluster.data / "postmaster.pid").read_text().split()[0]
        return psutil.Process(int(recorded))

    def kill(self) -> None:
        """Kill the server and all its processes, as a power failure would."""
        family = processes.family(self.postmaster.pid)
        processes.kill(family)
        psutil.wait_procs(family, timeout=10)

    def kill_postmaster(self) -> None:
        """Kill the postmaster alone; its sessions end when they notice that it is gone."""
        postmaster = self.postmaster
        postmaster.kill()
        psutil.wait_procs([postmaster], timeout=10)

    def kill_session(self) -> None:
        """Kill one session; PostgreSQL then ends all others and recovers."""
        wait_until(self._killed_session, 10, "a session exists")

    def _killed_session(self) -> bool:
        for session in processes.named(
            self.postmaster.children(), lambda command: "[local]" in command
        ):
            with suppress(psutil.NoSuchProcess):
                session.kill()
                return True
        return False

    def start(self) -> None:
        self.embedded.ensure_running()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    # Not in pytest's folder: its path may be too long for a socket, and closed to PostgreSQL's user.
    with tempfile.TemporaryDirectory(prefix="foldline-tests-", dir=homes()) as home:
        embedded = EmbeddedPostgres(Path(home))
        with embedded as dsn:
            yield Cluster(embedded, dsn)
