"""Fixtures that run or start the command."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interfaces.embedded.postgres import EmbeddedPostgres
from tests.fix_postgres import Template, homes
from tests.integration.cli.running import PATIENCE, ROOT, Serving, command, environment


@pytest.fixture(scope="session")
def template(modelled: Template) -> Template:
    """Template with the tables of the read models; databases of `tests/e2e` start without them."""
    return modelled


@pytest.fixture
def start() -> Iterator[Callable[..., Serving]]:
    """Start a command that runs until it is stopped."""
    servers: list[Serving] = []

    def start_command(*arguments: str, **settings: str) -> Serving:
        servers.append(Serving(*arguments, **settings))
        return servers[-1]

    yield start_command
    for server in servers:
        server.close()


@pytest.fixture
def foldline(database: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end on its own database."""

    def run_command(*arguments: str, dsn: str = database) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env=environment(FOLDLINE_DSN=dsn),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run_command


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder for an embedded database; its server is stopped and its files removed."""
    # Not pytest's own folder: its path may be too long for a socket.
    with tempfile.TemporaryDirectory(
        prefix="foldline-cli-", dir=homes(), ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
        database = EmbeddedPostgres(Path(folder))
        if database.cluster.data.exists():
            database.open()
            database.close()
