"""At whatever exchange with the database a projector dies, the next comes to the very same rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine

from domain.events.recorded import Recorded
from domain.events.rule_events import RuleDefined, RuleEnabled
from projections import PROJECTIONS, segments, timeline
from projections.rebuild.lifecycle import Lifecycle
from projections.runtime import batch_size
from projections.runtime.projection import Projection
from projections.runtime.projector import Projector
from tests.builders import anonymous, merged, tracked, unmerged, user
from tests.integration.projections import crashing
from tests.integration.projections.crashing import Clock, Job, Worker
from tests.integration.projections.given import rows_of
from tests.integration.projections.history import with_payload
from tests.integration.projections.test_rebuild import aside
from tests.properties.test_segments import Decided, Said, at, defined, ledger


def history() -> list[Recorded]:
    """Return something of all that read models are made of, for two batches."""
    said = [Said(0, lately("2m")), *(Said(0, it) for it in rule())]
    for n in range(10):
        message = tracked(
            "Viewed",
            user(f"u-{n % 3}"),
            anonymous(f"a-{n % 5}"),
            kind="identify" if n % 4 == 0 else "track",
            occurred_at=at(n // 2),
        )
        document = {
            "traits": {"plan": f"p-{n % 3}", "email": f"u{n % 3}@example.com"},
            "properties": {"total": n},
            "context": {"sessionId": f"s-{n % 4}"},
        }
        said.append(Said(n // 2, with_payload(message, document)))
    said[6:6] = [Said(2, merged(user("u-0"), user("u-1"), occurred_at=at(2)))]
    said += [Said(5, lately("4m")), Said(5, unmerged(user("u-1"), user("u-0"), occurred_at=at(5)))]
    return ledger(said)


def lately(last: str) -> Decided:
    return defined(
        "lately", {"event": "Viewed", "count": {"at_least": 2}, "within": {"last": last}}
    )


def rule() -> list[Decided]:
    """Return decisions by which a rule acts: some wait in it at the end of each batch."""
    wait = {"event": "Viewed", "timeout": "3m", "else": [{"add_tag": {"tag": "gone"}}]}
    plan = {"trigger": {"entered": "lately"}, "delay": "60s", "wait": wait, "reentry": "once"}
    said = {"id": UUID(int=0), "rule": "r", "occurred_at": at(0)}
    defined = RuleDefined(name="R", plan=msgspec.json.encode(plan), **said)
    return [Decided(it, UUID(int=8)) for it in (defined, RuleEnabled(**said))]


HISTORY = history()


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
        Lifecycle(self.projector).ask([projection.name], "rebuild")

    def break_off(self, job: Job, after: int, *, apart: bool = False) -> None:
        """Have a process die at a job after so many exchanges; then do what is left of it."""
        theirs = partial(crashing.with_its_checkpoint_apart, job=job) if apart else job
        self.worker.die(theirs, after)
        job(self.projector)

    def rows(self, workspace: int):
        return rows_of(self.engine, PROJECTIONS, workspace, ())


@pytest.fixture
def crashes(database: str, monkeypatch) -> Iterator[Crashing]:
    monkeypatch.setattr(batch_size, "BATCH", crashing.BATCH)
    with crashing.engine_on(database) as engine:
        crashes = Crashing(database, engine)
        yield crashes
        crashes.worker.close()


def test_following_the_ledger(crashes: Crashing) -> None:
    whole = crashes.workspace()
    exchanges = crashes.worker.do(partial(crashing.follow, workspace=whole))
    for after in range(exchanges):
        workspace = crashes.workspace()
        crashes.break_off(partial(crashing.follow, workspace=workspace), after)
        assert crashes.rows(workspace) == crashes.rows(whole), after


def test_letting_time_go_by(crashes: Crashing) -> None:
    whole = crashes.workspace(projected=True)
    before = crashes.rows(whole)
    crashes.feed.now = at(60)
    exchanges = crashes.worker.do(partial(crashing.wait, workspace=whole))
    assert crashes.rows(whole) != before, "somebody left by the clock alone"
    for after in range(exchanges):
        workspace = crashes.workspace(projected=True)
        crashes.break_off(partial(crashing.wait, workspace=workspace), after)
        assert crashes.rows(workspace) == crashes.rows(whole), after


@pytest.mark.parametrize("projection", PROJECTIONS, ids=str)
def test_building_a_read_model_anew(crashes: Crashing, projection: Projection) -> None:
    """At every exchange of the one that time changes, too; here and there of the others.

    They differ in their folds only, and those are gone through above.
    """
    workspace, job = (
        crashes.workspace(projected=True),
        partial(crashing.build, name=projection.name),
    )
    expected = crashes.rows(workspace)
    crashes.ask_for(projection)
    step = 1 if projection is segments.projection else 7
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
