"""What measurements of ingest share."""

from __future__ import annotations

import time

from tests.benchmarks.database import Database
from tests.benchmarks.load import Sent

BATCH = 500
CAUGHT_UP_WITHIN_SECONDS = 600


def settle(database: Database, *, wait: bool) -> None:
    """Let what is left of the last measurement finish, so that it does not weigh on the next."""
    database.sql("CHECKPOINT")
    deadline = time.monotonic() + CAUGHT_UP_WITHIN_SECONDS
    while wait and database.projected() < database.head():
        assert time.monotonic() < deadline, "the worker did not catch up"
        time.sleep(0.05)


def told(sent: Sent) -> str:
    return f"{sent.rate:,.0f} events/s, p99 {sent.p99:.0f} ms, sender {sent.cpu:.0%} of a core"
