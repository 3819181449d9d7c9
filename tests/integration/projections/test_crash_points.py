"""Wherever a projector dies, its successor arrives at the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count

import pytest
from sqlalchemy import Engine

from projections import PROJECTIONS, segments, timeline
from projections.rebuild.service import RebuildService
from projections.runtime import batch_size
from projections.runtime.projection import Projection
from projections.runtime.projector import Projector
from tests.integration.projections import crashing
from tests.integration.projections.crash_history import HISTORY
from tests.integration.projections.crashing import Clock, Job, Worker
from tests.integration.projections.customers import aside
from tests.integration.projections.given import rows_of
from tests.segment_history import at


class Crashing:
    """Jobs that are broken off in one process, and gone on with here."""

    def __init__(self, dsn: str, engine: Engine) -> None:
        self.engine, self.feed = engine, Clock()
        self.projector = Projector(self.feed, engine, PROJECTIONS)
        self.projector.prepare()
        self.worker = Worker(dsn, self.feed)
        self._numbers = count(1)

    def workspace(self, *, projected: bool = False) -> int:
        """Return the number of a workspace with the history."""
        number = next(self._numbers)
        self.feed.workspaces[number] = HISTORY
        if projected:
            self.projector.catch_up(number)
        return number

    def ask_for(self, projection: Projection) -> None:
        """Empty a read model, and ask for it to be built."""
        with self.engine.begin() as tx:
            for table in projection.metadata.sorted_tables:
                tx.execute(table.delete())
        RebuildService(self.projector).request([projection.name], "rebuild")

    def break_off(self, job: Job, after: int, *, apart: bool = False) -> None:
        """Have a process die at a job after so many exchanges; then do what is left of it."""
        theirs = partial(crashing.with_its_checkpoint_apart, job=job) if apart else job
        self.worker.die(theirs, after)
        job(self.projector)

    def rows(self, workspace: int):
        return rows_of(self.engine, PROJECTIONS, workspace, ())


@pytest.fixture
def crashes(database: str, monkeypatch) -> Iterator[Crashing]:
    monkeypatch.setattr(batch_size, "BATCH_SIZE", crashing.BATCH)
    with crashing.engine_on(database) as engine:
        crashes = Crashing(database, engine)
        yield crashes
        crashes.worker.close()


HERE_AND_THERE = pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.nightly)])
"""Die at each seventh exchange; by night, at every one."""


@HERE_AND_THERE
def test_following_the_ledger(crashes: Crashing, step: int) -> None:
    whole = crashes.workspace()
    exchanges = crashes.worker.do(partial(crashing.follow, workspace=whole))
    for after in range(0, exchanges, step):
        workspace = crashes.workspace()
        crashes.break_off(partial(crashing.follow, workspace=workspace), after)
        assert crashes.rows(workspace) == crashes.rows(whole), after


def test_letting_time_go_by(crashes: Crashing) -> None:
    whole = crashes.workspace(projected=True)
    before = crashes.rows(whole)
    crashes.feed.now = at(60)
    exchanges = crashes.worker.do(partial(crashing.wait, workspace=whole))
    assert crashes.rows(whole) != before, "a timer has changed rows"
    for after in range(exchanges):
        workspace = crashes.workspace(projected=True)
        crashes.break_off(partial(crashing.wait, workspace=workspace), after)
        assert crashes.rows(workspace) == crashes.rows(whole), after


@pytest.mark.parametrize(
    ("projection", "step"),
    [
        *((it, 7) for it in PROJECTIONS if it is not segments.projection),
        *(pytest.param(segments.projection, n, marks=pytest.mark.nightly) for n in (7, 1)),
    ],
    ids=str,
)
def test_rebuilding_a_read_model(crashes: Crashing, projection: Projection, step: int) -> None:
    """By night also at every exchange of the read model with timers; at some of the others.

    They differ in their folds only, and those are gone through above.
    """
    workspace, job = (
        crashes.workspace(projected=True),
        partial(crashing.build, name=projection.name),
    )
    expected = crashes.rows(workspace)
    crashes.ask_for(projection)
    for after in range(0, crashes.worker.do(job), step):
        crashes.ask_for(projection)
        crashes.break_off(job, after)
        assert crashes.rows(workspace) == expected, after
        assert not any(it.endswith("_next") for it in aside(crashes)), after


def test_with_the_checkpoint_apart_it_would_lose_a_batch(crashes: Crashing) -> None:
    whole = crashes.workspace(projected=True)

    def differs(after: int) -> bool:
        workspace = crashes.workspace()
        crashes.break_off(partial(crashing.follow, workspace=workspace), after, apart=True)
        return crashes.rows(workspace) != crashes.rows(whole)

    assert any(map(differs, range(0, 100, 5)))


def test_so_would_a_build(crashes: Crashing) -> None:
    workspace, job = crashes.workspace(projected=True), partial(crashing.build, name="timeline")
    expected = crashes.rows(workspace)

    def differs(after: int) -> bool:
        crashes.ask_for(timeline.projection)
        crashes.break_off(job, after, apart=True)
        return crashes.rows(workspace) != expected

    assert any(map(differs, range(0, 100, 5)))
