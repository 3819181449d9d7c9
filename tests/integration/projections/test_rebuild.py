"""A read model is rebuilt in a shadow schema and replaces the live one."""

from __future__ import annotations

import dataclasses
from itertools import count
from threading import Event, Thread
from time import monotonic

import pytest
from sqlalchemy import text

from domain.core.errors import Conflict, NotFound
from projections import PROJECTIONS, event_catalogue, timeline
from projections.event_catalogue.tables import day, event_type
from projections.rebuild import builds
from projections.rebuild.service import RebuildService
from projections.runtime import batch_size
from projections.runtime.projector import Projector
from tests.integration.projections.customers import NAMES, aside, customers


@pytest.fixture
def filled(given):
    for workspace, n in ((1, 60), (2, 9)):
        given.messages(*customers(n), workspace=workspace)
    return given


@pytest.fixture
def lifecycle(filled):
    return RebuildService(filled.projector)


def rows(given):
    return {it: given.tables(workspace=it) for it in (1, 2)}


def spoil(given) -> None:
    """Make every table wrong, as a fault of a fold or of a disk would."""
    with given.engine.begin() as tx:
        for projection in PROJECTIONS:
            for table in projection.metadata.sorted_tables:
                tx.execute(
                    text(f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} LIMIT 3)")
                )


def test_a_rebuilt_read_model_is_the_live_one(filled, lifecycle):
    expected = rows(filled)
    spoil(filled)
    assert rows(filled) != expected

    lifecycle.request(NAMES, "rebuild")
    for name in NAMES:
        assert lifecycle.run_builds(name)
    assert rows(filled) == expected
    assert aside(filled) == []
    assert {it.state for it in lifecycle.status().values()} == {"done"}

    filled.messages(*customers(20, first=60))
    assert [it.lag for it in filled.projector.status()] == [0] * len(filled.projector.status())
    assert sum(it["count"] for it in filled.ask("/event-types")["event_types"]) > 0


def small_batches(monkeypatch, size: int = 5) -> None:
    for it in ("BATCH_SIZE", "MAX_BATCH_SIZE"):
        monkeypatch.setattr(batch_size, it, size)


def test_cancelled_twenty_times_it_ends_as_the_live_one(filled, lifecycle, monkeypatch):
    """Each time it is cancelled after another batch, and goes on from there."""
    small_batches(monkeypatch, 2)
    expected, stood = rows(filled), 0
    spoil(filled)
    for _ in range(20):
        lifecycle.request(["timeline"], "rebuild")
        assert not lifecycle.run_builds(
            "timeline", on_progress=lambda: lifecycle.cancel("timeline")
        )
        build = lifecycle.status()["timeline"]
        assert build.state == "cancelled"
        assert stood < build.events < build.total
        stood = build.events
    lifecycle.request(NAMES, "rebuild")
    assert all(lifecycle.run_builds(it) for it in NAMES)
    assert rows(filled) == expected


def test_a_stopped_build_is_resumed_by_the_next_worker(filled, lifecycle, monkeypatch):
    small_batches(monkeypatch)
    stop = Event()
    lifecycle.request(["timeline"], "rebuild")
    assert not lifecycle.run_builds("timeline", stop=stop, on_progress=stop.set)
    build = lifecycle.status()["timeline"]
    assert (build.state, build.held, build.events) == ("running", False, 5)
    assert RebuildService(filled.projector).run_builds("timeline")


def test_a_build_that_a_worker_holds_is_left_to_it(filled, lifecycle, monkeypatch):
    small_batches(monkeypatch)
    lifecycle.request(["timeline"], "rebuild")
    others = []
    done = lifecycle.run_builds(
        "timeline",
        on_progress=lambda: others.append(RebuildService(filled.projector).run_builds("timeline")),
    )
    assert done
    assert len(others) > 10
    assert not any(others)


def lapse(given) -> None:
    with given.engine.begin() as tx:
        tx.execute(text("UPDATE projections.build SET leased_until = now() - interval '1s'"))


@pytest.mark.parametrize("after", [1, 3])
def test_a_worker_that_was_thought_dead_applies_nothing_any_more(
    filled, lifecycle, monkeypatch, after
):
    """It sleeps between two batches until its lease has lapsed and another has done it all."""
    small_batches(monkeypatch)
    expected = rows(filled)
    lifecycle.request(["event_catalogue"], "rebuild")
    looks = []

    def sleeps() -> None:
        looks.append(lifecycle.status()["event_catalogue"])
        if len(looks) == after:
            lapse(filled)
            assert RebuildService(filled.projector).run_builds("event_catalogue")

    assert not lifecycle.run_builds("event_catalogue", on_progress=sleeps)
    assert len(looks) == after
    assert rows(filled) == expected


def test_without_its_fence_such_a_worker_would_count_twice(filled, lifecycle, monkeypatch):
    """The check above, with the protection off."""
    small_batches(monkeypatch)
    monkeypatch.setattr(builds, "_require_lease", lambda changed, claim: None)
    lifecycle.request(["event_catalogue"], "rebuild")
    zombie = []

    def sleeps() -> None:
        if not zombie:
            zombie.append(True)
            lapse(filled)
            other = RebuildService(filled.projector)
            stop = Event()
            other.run_builds("event_catalogue", stop=stop, on_progress=stop.set)
            with filled.engine.begin() as tx:  # the other stands elsewhere than the zombie thinks
                claim = builds.BuildLease(event_catalogue.projection, "rebuild", 1)
                at = lifecycle_positions(tx)
                builds.advance(tx, claim, 1, after=at[1], to=at[1] - 5)

    expected = rows(filled)
    lifecycle.run_builds("event_catalogue", on_progress=sleeps)
    assert rows(filled) != expected


def lifecycle_positions(tx) -> dict[int, int]:
    found = tx.execute(text("SELECT workspace, position FROM projections.build_position"))
    return {it.workspace: it.position for it in found}


def test_builders_at_the_same_work_apply_each_event_once(filled, lifecycle, monkeypatch):
    """Leases lapse at once here, so that the workers take the build from one another."""
    small_batches(monkeypatch)
    monkeypatch.setattr(builds, "LEASE_INTERVAL", "0.02 seconds")
    expected = rows(filled)
    spoil(filled)
    lifecycle.request(["event_catalogue"], "rebuild")
    deadline = monotonic() + 30

    def work() -> None:
        own = RebuildService(filled.projector)
        while own.status()["event_catalogue"].unfinished and monotonic() < deadline:
            own.run_builds("event_catalogue")

    threads = [Thread(target=work) for _ in range(3)]
    for it in threads:
        it.start()
    for it in threads:
        it.join(40)
    assert lifecycle.status()["event_catalogue"].state == "done"
    tables = [it for it in expected[1] if "event_catalogue" in it]
    assert {it: rows(filled)[1][it] for it in tables} == {it: expected[1][it] for it in tables}


def test_a_fold_that_fails_ends_the_build_and_mended_it_goes_on(filled, lifecycle, monkeypatch):
    small_batches(monkeypatch)
    times = count(1)

    def moody(tx, batch):
        timeline.projection.apply(tx, batch)
        if next(times) == 3:
            raise ValueError("not today")

    wrong = dataclasses.replace(timeline.projection, apply=moody)
    failing = RebuildService(Projector(filled.feed, filled.engine, (wrong,)))
    failing.request(["timeline"], "rebuild")
    assert not failing.run_builds("timeline")
    build = lifecycle.status()["timeline"]
    assert (build.state, build.failure) == ("failed", "ValueError: not today")
    assert build.events == 10, "two batches, nothing of the third"
    assert filled.names(), "the live one goes on answering"

    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")
    assert lifecycle.status()["timeline"].failure is None


def test_a_restarted_or_discarded_build_begins_at_zero(filled, lifecycle, monkeypatch):
    small_batches(monkeypatch)
    for start_over in (
        lambda: lifecycle.cancel("timeline", discard=True),
        lambda: lifecycle.request(["timeline"], "rebuild", restart=True),
    ):
        lifecycle.request(["timeline"], "rebuild")
        lifecycle.run_builds("timeline", on_progress=lambda: lifecycle.cancel("timeline"))
        assert lifecycle.status()["timeline"].events == 5
        start_over()
        assert lifecycle.status()["timeline"].events == 0
    lifecycle.request(["timeline"], "rebuild")
    assert lifecycle.run_builds("timeline")


def test_an_unknown_read_model_is_refused(lifecycle):
    with pytest.raises(NotFound, match="unknown read model 'unknown'; use one of identity,"):
        lifecycle.request(["timeline", "unknown"], "rebuild")
    assert lifecycle.status() == {}
    lifecycle.request(["timeline"], "verify")
    lifecycle.request(["timeline"], "verify")
    with pytest.raises(Conflict, match="a verify of timeline is running"):
        lifecycle.request(["identity", "timeline"], "rebuild")
    assert set(lifecycle.status()) == {"timeline"}
    assert not lifecycle.cancel("identity")
    assert lifecycle.cancel("timeline")


def test_a_verification_finds_nothing_where_nothing_is(filled, lifecycle):
    lifecycle.request(NAMES, "verify")
    assert all(lifecycle.run_builds(it) for it in NAMES)
    for name, build in lifecycle.status().items():
        assert build.result["same"], (name, build.result)
    assert aside(filled) == []


def test_a_verification_tells_which_rows_are_wrong(filled, lifecycle):
    before = rows(filled)
    with filled.engine.begin() as tx:
        tx.execute(text(f"UPDATE {day} SET count = count + 1 WHERE workspace = 2"))
        tx.execute(text(f"DELETE FROM {event_type} WHERE workspace = 1"))
    spoilt = rows(filled)
    lifecycle.request(["event_catalogue"], "verify")
    assert lifecycle.run_builds("event_catalogue")
    result = lifecycle.status()["event_catalogue"].result
    assert not result["same"]
    found = {
        it["table"]: (it["only_live"], it["only_rebuilt"])
        for it in result["tables"]
        if "differs" in it
    }
    gone = len(before[1][str(event_type)])
    assert found == {"day": (1, 1), "event_type": (0, gone)}
    assert rows(filled) == spoilt, "it looks and changes nothing"
    assert aside(filled) == []
