"""What every test starts from: no settings of the developer's own, and the same examples for everyone in CI."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import settings

pytest_plugins = ["tests.fix_embedded", "tests.fix_postgres", "tests.fix_ledger"]

settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


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
