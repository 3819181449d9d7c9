"""Projecting recorded events into timeline and event catalogue, against COPY of the timeline's rows."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import create_engine

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.workspaces import Workspaces
from interfaces.bootstrap import settle
from interfaces.wire import FORMATS
from interfaces.wire.base import Limits
from projections import PROJECTIONS
from projections.projector import BATCH, Projector
from projections.timeline.tables import timeline
from tests.benchmarks.database import Database
from tests.benchmarks.messages import batches
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark

EVENTS = scaled(100_000, least=2 * BATCH)


def test_projecting_reaches_a_third_of_copy(fresh, report, say):
    database = fresh()
    pairs = []
    with over(database) as (ledger, projector), as_a_server_collects():
        record(ledger, database.workspace)
        for number in range(ROUNDS):
            forget(database)
            database.sql("CHECKPOINT")
            started = time.perf_counter()
            taken = 0
            while applied := projector.advance(database.workspace):
                taken += applied
            seconds = time.perf_counter() - started
            assert taken == EVENTS
            with Copy(database.dsn, str(timeline), only="ordinal = 0") as yardstick:
                rows = yardstick.rows(0)
                assert len(rows) == EVENTS
                database.sql("CHECKPOINT")
                copied = yardstick.copy(rows, BATCH)
            pairs.append((EVENTS / seconds, EVENTS / copied))
            say(
                f"projecting round {number + 1}: {EVENTS / seconds:,.0f} events/s; COPY {EVENTS / copied:,.0f}/s"
            )
    against = f"COPY of the timeline's rows, {BATCH} a transaction"
    hold(report.rounds("projecting", pairs, unit="events/s", against=against, at_least=0.30))


@contextmanager
def over(database: Database) -> Iterator[tuple[Ledger, Projector]]:
    """A ledger and a projector over the database, in this process."""
    store = LedgerDatastore(database.dsn)
    ledger = Ledger(store, Workspaces(store))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    projector = Projector(ledger, engine, PROJECTIONS)
    try:
        projector.prepare()
        yield ledger, projector
    finally:
        engine.dispose()
        ledger.close()
        store.close()


@contextmanager
def as_a_server_collects() -> Iterator[None]:
    """Collect garbage as the server does while inside."""
    before = gc.get_threshold()
    settle()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def record(ledger: Ledger, workspace: int) -> None:
    """Record the events as if they had come in by HTTP."""
    parse = FORMATS["segment"].routes["/v1/batch"]
    limits = Limits(body_bytes=10**7, message_bytes=10**5, batch_messages=BATCH)
    for body in batches(EVENTS, 500):
        parsed = parse(
            body, received_at=datetime.now(UTC), limits=limits, default_id=lambda: str(uuid4())
        )
        ledger.record(workspace, parsed.messages).result(30)


def forget(database: Database) -> None:
    """Empty the read models, as before the first event."""
    tables = [
        f"{table.schema}.{table.name}"
        for it in PROJECTIONS
        for table in it.metadata.tables.values()
    ]
    database.sql(f"TRUNCATE projections.checkpoint, {', '.join(tables)}")
