"""What every test starts from: its Hypothesis profile, none of the developer's settings."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import structlog
from hypothesis import Phase, settings

pytest_plugins = [
    "tests.fix_postgres",
    "tests.fix_embedded",
    "tests.fix_ledger",
    "tests.fix_node",
    "tests.fix_segments",
]

UNIT = Path(__file__).parent / "unit"

# The processes that tests start load about 700 modules each: to compile them takes a fifth of a start of the server.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How many examples a property test takes; `tests/examples.py` takes parts of it.  In CI they are the same in each
# run, but for those of the night, which are others each night and are printed so that they can be had again.
_SAME = os.environ.get("CI") == "true"
settings.register_profile("fast", max_examples=10, deadline=None, derandomize=_SAME)
settings.register_profile("merge", max_examples=50, deadline=None, derandomize=_SAME)
settings.register_profile("nightly", max_examples=1_000, deadline=None, print_blob=True)
settings.register_profile(
    "sabotage",
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
settings.load_profile("merge")

# By itself structlog prints each local variable with a traceback: seconds, where one of them holds a ledger.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for it in items:
        if UNIT in it.path.parents:
            it.add_marker("unit")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """A developer's FOLDLINE_DSN must neither steer a test nor be written to by one."""
    for name in [*os.environ]:
        if name.startswith("FOLDLINE_") and name != "FOLDLINE_TEST_DSN":
            del os.environ[name]
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            # As in the background of a shell, or under nohup: processes of tests would inherit it.
            signal.signal(number, _interrupted)


def _interrupted(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.strsignal(number))
