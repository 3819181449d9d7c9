"""Shared parts of the measurements of ingest."""

from __future__ import annotations

import time

from tests.benchmarks.database import Database
from tests.benchmarks.load import Sent

BATCH = 500
CAUGHT_UP_WITHIN_SECONDS = 600


def settle(database: Database, *, wait: bool) -> None:
    """Finishes the work of the last measurement, so that it does not slow the next one."""
    database.sql("CHECKPOINT")
    deadline = time.monotonic() + CAUGHT_UP_WITHIN_SECONDS
    while wait and database.projected() < database.head():
        assert time.monotonic() < deadline, "the worker did not catch up"
        time.sleep(0.05)


def describe(sent: Sent) -> str:
    return f"{sent.rate:,.0f} events/s, p99 {sent.p99:.0f} ms, sender {sent.cpu:.0%} of a core"
