"""What every benchmark shares: one PostgreSQL, one report, and a line of progress for whoever waits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.benchmarks.database import Database, lent
from tests.benchmarks.process import ROOT
from tests.benchmarks.report import Report
from tests.benchmarks.seed import EVENTS, seed

_REPORT = Report()


@pytest.fixture
def report() -> Report:
    """Where each benchmark puts what it measured, before it is held to its bar."""
    return _REPORT


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell whoever waits how far it is, past pytest's capture."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def tell(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"  {text}")

    return tell


@pytest.fixture
def fresh(postgres_dsn: str) -> Iterator[Callable[[], Database]]:
    """Lends new databases until the benchmark is over."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(lent(postgres_dsn))


@pytest.fixture(scope="session")
def full(postgres_dsn: str, say: Callable[[str], None]) -> Iterator[Database]:
    """A database with three million events."""
    with lent(postgres_dsn) as database:
        seed(database, EVENTS, say)
        yield database


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _REPORT.rows:
        path = ROOT / "bench.json"
        _REPORT.write(path)
        terminalreporter.write_line("")
        terminalreporter.write(_REPORT.table(terminalreporter._tw.fullwidth))
        terminalreporter.write_line(f"{os.path.relpath(path)} holds the same for scripts")
