"""Projecting and rebuilding read models, against COPY of the timeline's rows."""

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
from tests.benchmarks.projecting import EVENTS, empty_read_models, open_ledger, record
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS
from tests.benchmarks.yardsticks import Copy

pytestmark = pytest.mark.benchmark


def test_projecting_and_rebuilding_reach_their_share_of_copy(fresh, report, say):
    database = fresh()
    against = f"COPY of the timeline's rows, {BATCH_SIZE} a transaction"
    columns = {"unit": "events/s", "against": against}
    all_models = columns | {"at_least": 0.20, "note": f"{len(PROJECTIONS)} read models"}
    with open_ledger(database) as (ledger, engine):
        record(ledger, database.workspace)
        two_models = (timeline.projection, event_catalogue.projection)
        project = partial(
            seconds_to_project, database, Projector(ledger, engine, two_models, parallelism=2)
        )
        pairs = rounds("projecting", project, database, say)
        bars = [report.rounds("projecting", pairs, at_least=0.30, **columns)]
        project = partial(
            seconds_to_project, database, Projector(ledger, engine, PROJECTIONS, parallelism=2)
        )
        for name, work in (
            ("projecting_all", project),
            ("rebuild_all", partial(seconds_to_rebuild, database)),
        ):
            bars.append(report.rounds(name, rounds(name, work, database, say), **all_models))
    hold(*bars)


def rounds(
    name: str, work: Callable[[], float], database: Database, say
) -> list[tuple[float, float]]:
    """Returns the rates of the work and of COPY in each round, in turns."""
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


def seconds_to_project(database: Database, projector: Projector) -> float:
    """Returns the seconds in which emptied read models apply all events."""
    empty_read_models(database)
    database.sql("CHECKPOINT")
    started = time.perf_counter()
    assert projector.catch_up(database.workspace) == EVENTS
    return time.perf_counter() - started


def seconds_to_rebuild(database: Database) -> float:
    """Returns the seconds of a rebuild of all read models, once its processes have started."""
    database.sql("CHECKPOINT")
    command = [sys.executable, "-m", "interfaces.cli.main", "projections", "rebuild"]
    subprocess.run(command, cwd=ROOT, env=clean_environment(FOLDLINE_DSN=database.dsn), check=True)
    query = (
        "SELECT extract(epoch FROM max(finished_at) - min(run_at))::float FROM projections.build"
    )
    return database.sql(query)[0][0]
