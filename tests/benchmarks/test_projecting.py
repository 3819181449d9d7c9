"""Projecting recorded events, and projecting all of them anew, against COPY of the timeline's rows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import pytest

from projections import PROJECTIONS, event_catalogue, timeline
from projections.runtime.batch_size import BATCH_SIZE
from projections.runtime.projector import Projector
from projections.timeline import tables
from tests.benchmarks.database import Database
from tests.benchmarks.process import ROOT, clean_environment
from tests.benchmarks.projecting import EVENTS, forget, over, record
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark


def test_projecting_and_rebuilding_reach_their_part_of_copy(fresh, report, say):
    database = fresh()
    against = f"COPY of the timeline's rows, {BATCH_SIZE} a transaction"
    more = {"unit": "events/s", "against": against}
    everything = more | {"at_least": 0.20, "note": f"{len(PROJECTIONS)} read models"}
    with over(database) as (ledger, engine):
        record(ledger, database.workspace)
        named = (timeline.projection, event_catalogue.projection)
        project = partial(projected, database, Projector(ledger, engine, named, parallelism=2))
        pairs = rounds("projecting", project, database, say)
        bars = [report.rounds("projecting", pairs, at_least=0.30, **more)]
        project = partial(
            projected, database, Projector(ledger, engine, PROJECTIONS, parallelism=2)
        )
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
            copied = yardstick.copy(rows, BATCH_SIZE)
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
