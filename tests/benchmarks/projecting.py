"""Shared parts of the measurements of read models."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
from sqlalchemy import Engine, create_engine

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from interfaces.bootstrap import tune_garbage_collector
from interfaces.wire.base import WireLimits
from interfaces.wire.segment.bodies import parse_batch
from projections import PROJECTIONS
from projections.runtime.batch_size import BATCH_SIZE
from projections.runtime.projector import Projector
from tests.benchmarks.database import Database
from tests.benchmarks.messages import batches
from tests.benchmarks.scale import scaled

EVENTS = scaled(100_000, least=2 * BATCH_SIZE)


@contextmanager
def open_ledger(database: Database) -> Iterator[tuple[Ledger, Engine]]:
    """Opens a ledger and an engine for projectors in this process, with the tables created.

    Garbage is collected as in a worker meanwhile: pytest's own settings took half of a backfill (measured).
    """
    store = LedgerDatastore(database.dsn)
    ledger = Ledger(store, Workspaces(store))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    try:
        Projector(ledger, engine, PROJECTIONS).prepare()
        with _worker_garbage_collection():
            yield ledger, engine
    finally:
        engine.dispose()
        ledger.close()
        store.close()


@contextmanager
def _worker_garbage_collection() -> Iterator[None]:
    before = gc.get_threshold()
    tune_garbage_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def record(ledger: Ledger, workspace: int) -> None:
    """Records the events as if they had arrived by HTTP."""
    limits = WireLimits(body_bytes=10**7, message_bytes=10**5, batch_messages=BATCH_SIZE)
    for body in batches(EVENTS, 500):
        parsed = parse_batch(
            body, received_at=datetime.now(UTC), limits=limits, default_id=lambda: str(uuid4())
        )
        ledger.record(workspace, parsed.messages).result(30)


def empty_read_models(database: Database) -> None:
    """Empties the read models, as before the first event."""
    tables = [
        f"{table.schema}.{table.name}"
        for projection in PROJECTIONS
        for table in projection.metadata.tables.values()
    ]
    database.sql(f"TRUNCATE projections.checkpoint, {', '.join(tables)}")
