"""Fixtures of the benchmarks: one PostgreSQL, one report, and lines of progress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.benchmarks.database import Database, temporary_database
from tests.benchmarks.process import ROOT
from tests.benchmarks.report import Report
from tests.benchmarks.seed import EVENTS, seed

_REPORT = Report()


@pytest.fixture
def report() -> Report:
    """Collects the measurements of all benchmarks."""
    return _REPORT


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line of progress in spite of pytest's capture."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def print_line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"  {text}")

    return print_line


@pytest.fixture
def fresh(postgres_dsn: str) -> Iterator[Callable[[], Database]]:
    """Creates empty databases, dropped after the benchmark."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(temporary_database(postgres_dsn))


@pytest.fixture(scope="session")
def full(postgres_dsn: str, say: Callable[[str], None]) -> Iterator[Database]:
    """A database with three million events."""
    with temporary_database(postgres_dsn) as database:
        seed(database, EVENTS, say)
        yield database


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _REPORT.rows:
        path = ROOT / "bench.json"
        _REPORT.write(path)
        terminalreporter.write_line("")
        terminalreporter.write(_REPORT.table(terminalreporter._tw.fullwidth))
        terminalreporter.write_line(f"{os.path.relpath(path)} holds the same for scripts")
