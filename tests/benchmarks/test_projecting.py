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
from sqlalchemy import Engine, create_engine

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.workspaces import Workspaces
from interfaces.bootstrap import settle
from interfaces.wire import FORMATS
from interfaces.wire.base import Limits
from projections import PROJECTIONS, event_catalogue, timeline
from projections.projector import BATCH, Projector
from projections.timeline import tables
from tests.benchmarks.database import Database
from tests.benchmarks.messages import batches
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark

EVENTS = scaled(100_000, least=2 * BATCH)


def test_projecting_reaches_a_third_of_copy(fresh, report, say):
    database = fresh()
    with over(database) as (ledger, engine), as_a_server_collects():
        record(ledger, database.workspace)
        against = f"COPY of the timeline's rows, {BATCH} a transaction"
        named = (timeline.projection, event_catalogue.projection)
        pairs = rounds("projecting", Projector(ledger, engine, named), database, say)
        bar = report.rounds("projecting", pairs, unit="events/s", against=against, at_least=0.30)
        name = "projecting_all"
        pairs = rounds(name, Projector(ledger, engine, PROJECTIONS), database, say)
        note = f"{len(PROJECTIONS)} read models"
        report.rounds(name, pairs, unit="events/s", against=against, note=note)
    hold(bar)


def rounds(name: str, projector: Projector, database: Database, say) -> list[tuple[float, float]]:
    """Return the rates of projecting and of COPY in each round, in turns."""
    pairs = []
    for number in range(ROUNDS):
        forget(database)
        database.sql("CHECKPOINT")
        started = time.perf_counter()
        taken = 0
        while applied := projector.advance(database.workspace):
            taken += applied
        seconds = time.perf_counter() - started
        assert taken == EVENTS
        with Copy(database.dsn, str(tables.timeline), only="ordinal = 0") as yardstick:
            rows = yardstick.rows(0)
            assert len(rows) == EVENTS
            database.sql("CHECKPOINT")
            copied = yardstick.copy(rows, BATCH)
        pairs.append((EVENTS / seconds, EVENTS / copied))
        say(
            f"{name} round {number + 1}: {EVENTS / seconds:,.0f} events/s; COPY {EVENTS / copied:,.0f}/s"
        )
    return pairs


@contextmanager
def over(database: Database) -> Iterator[tuple[Ledger, Engine]]:
    """A ledger and an engine for projectors over the database, in this process; the tables are there."""
    store = LedgerDatastore(database.dsn)
    ledger = Ledger(store, Workspaces(store))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    try:
        Projector(ledger, engine, PROJECTIONS).prepare()
        yield ledger, engine
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
