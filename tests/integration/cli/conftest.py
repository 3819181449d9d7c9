"""The command, to be run or started by a test."""

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
    """Clone databases with the tables of the read models; those of `tests/e2e` start without."""
    return modelled


@pytest.fixture
def start() -> Iterator[Callable[..., Serving]]:
    """Start a command that goes on until it is stopped."""
    started: list[Serving] = []

    def starts(*arguments: str, **settings: str) -> Serving:
        started.append(Serving(*arguments, **settings))
        return started[-1]

    yield starts
    for each in started:
        each.close()


@pytest.fixture
def foldline(database: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end on a database of its own."""

    def runs(*arguments: str, dsn: str = database) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=ROOT,
            env=environment(FOLDLINE_DSN=dsn),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return runs


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder for an embedded database; its server is stopped and its files removed."""
    # Not pytest's own folder: its path may be too long for a socket.
    with tempfile.TemporaryDirectory(
        prefix="foldline-cli-", dir=homes(), ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
        left = EmbeddedPostgres(Path(folder))
        if left.cluster.data.exists():
            left.open()
            left.close()
