"""Projecting recorded events, and projecting all of them anew, against COPY of the timeline's rows."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, create_engine

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from interfaces.bootstrap import settle
from interfaces.wire import FORMATS
from interfaces.wire.base import Limits
from projections import PROJECTIONS, event_catalogue, timeline
from projections.runtime.batch_size import BATCH
from projections.runtime.projector import Projector
from projections.timeline import tables
from tests.benchmarks.database import Database
from tests.benchmarks.messages import batches
from tests.benchmarks.process import ROOT, clean_environment
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark

EVENTS = scaled(100_000, least=2 * BATCH)


def test_projecting_and_rebuilding_reach_their_part_of_copy(fresh, report, say):
    database = fresh()
    against = f"COPY of the timeline's rows, {BATCH} a transaction"
    more = {"unit": "events/s", "against": against}
    everything = more | {"at_least": 0.20, "note": f"{len(PROJECTIONS)} read models"}
    with over(database) as (ledger, engine):
        record(ledger, database.workspace)
        named = (timeline.projection, event_catalogue.projection)
        project = partial(projected, database, Projector(ledger, engine, named, lanes=2))
        pairs = rounds("projecting", project, database, say)
        bars = [report.rounds("projecting", pairs, at_least=0.30, **more)]
        project = partial(projected, database, Projector(ledger, engine, PROJECTIONS, lanes=2))
        for name, work in (
            ("projecting_all", project),
            ("rebuild_all", partial(rebuilt, database)),
        ):
            bars.append(report.rounds(name, rounds(name, work, database, say), **everything))
    hold(*bars)


def rounds(
    name: str, work: Callable[[], float], database: Database, say
) -> list[tuple[float, float]]:
    """Return the rates of the work and of COPY in each round, in turns."""
    pairs = []
    for number in range(ROUNDS):
        seconds = work()
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


def projected(database: Database, projector: Projector) -> float:
    """Return the seconds in which emptied read models take all events."""
    forget(database)
    database.sql("CHECKPOINT")
    started = time.perf_counter()
    assert projector.catch_up(database.workspace) == EVENTS
    return time.perf_counter() - started


def rebuilt(database: Database) -> float:
    """Return the seconds in which the command rebuilds all, from when its processes have started."""
    database.sql("CHECKPOINT")
    command = [sys.executable, "-m", "interfaces.cli.main", "projections", "rebuild"]
    subprocess.run(command, cwd=ROOT, env=clean_environment(FOLDLINE_DSN=database.dsn), check=True)
    took = "SELECT extract(epoch FROM max(finished_at) - min(run_at))::float FROM projections.build"
    return database.sql(took)[0][0]


@contextmanager
def over(database: Database) -> Iterator[tuple[Ledger, Engine]]:
    """A ledger and an engine for projectors over the database, in this process; the tables are there.

    Garbage is collected as in a worker meanwhile: pytest's own settings took half of a look-back (measured).
    """
    store = LedgerDatastore(database.dsn)
    ledger = Ledger(store, Workspaces(store))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    try:
        Projector(ledger, engine, PROJECTIONS).prepare()
        with _as_a_worker_collects():
            yield ledger, engine
    finally:
        engine.dispose()
        ledger.close()
        store.close()


@contextmanager
def _as_a_worker_collects() -> Iterator[None]:
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
