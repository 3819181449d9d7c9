"""A large batch is written on two connections; nothing is lost or applied twice."""

from __future__ import annotations

import dataclasses
from threading import Event, Thread

import pytest
from sqlalchemy import text

from projections import PROJECTIONS, identity, profile
from projections.rebuild.erasure import begin_erasure
from projections.runtime import parallel_apply
from projections.runtime.projector import Projector
from tests.integration.projections.customers import customers


@pytest.fixture(autouse=True)
def _every_batch_is_large(monkeypatch) -> None:
    monkeypatch.setattr(parallel_apply, "MIN_PARALLEL_EVENTS", 1)


def changed(which, apply):
    return [dataclasses.replace(it, apply=apply) if it == which else it for it in PROJECTIONS]


def projector(given, projections=PROJECTIONS) -> Projector:
    return Projector(given.feed, given.engine, projections, parallelism=2)


def start_over(given) -> dict:
    """Empty every read model, and return what was in it."""
    before = given.tables(workspace=1)
    with given.engine.begin() as tx:
        tables = [str(it) for each in PROJECTIONS for it in each.metadata.sorted_tables]
        tx.execute(text(f"TRUNCATE projections.checkpoint, {', '.join(tables)}"))
    return before


def test_two_lanes_write_what_one_does(given):
    given.messages(*customers(60))
    before = start_over(given)
    assert projector(given).catch_up(1, limit=7) == len(given.feed.workspaces[1])
    assert given.tables(workspace=1) == before


def test_read_models_are_shared_out_by_their_weight(given):
    pids = {}

    def recording_pid(it):
        def apply(tx, batch):
            pids[it.name] = tx.execute(text("SELECT pg_backend_pid()")).scalar()
            it.apply(tx, batch)

        return dataclasses.replace(it, apply=apply)

    given.messages(*customers(5))
    start_over(given)
    projector(given, [recording_pid(it) for it in PROJECTIONS]).catch_up(1)
    assert len(pids) == len(PROJECTIONS)
    weights = dict.fromkeys(pids.values(), 0)
    for it in PROJECTIONS:
        weights[pids[it.name]] += it.weight
    assert len(weights) == 2
    assert max(weights.values()) - min(weights.values()) <= 2


@pytest.mark.parametrize("which", [profile.projection, identity.projection])
def test_one_that_fails_holds_up_none_in_either_lane(given, which):
    def broken(tx, batch):
        raise ValueError("not today")

    given.messages(*customers(20))
    before = start_over(given)
    with pytest.raises(ValueError, match="not today"):
        projector(given, changed(which, broken)).catch_up(1)
    assert {it.name for it in given.projector.status() if it.lag} == {which.name}
    given.projector.catch_up(1)
    assert given.tables(workspace=1) == before


@pytest.mark.parametrize("which", [profile.projection, identity.projection])
def test_an_erasure_waits_for_both_lanes(given, which):
    """Whichever lane is the last one: what it has read is from before the blanking."""
    given.messages(*customers(20))
    start_over(given)
    applying, go_on, erasing = Event(), Event(), Event()

    def slow(tx, batch):
        applying.set()
        assert go_on.wait(20)
        which.apply(tx, batch)

    def erase() -> None:
        with begin_erasure(given.projector, 1):
            erasing.set()

    threads = [
        Thread(target=projector(given, changed(which, slow)).advance, args=(1,)),
        Thread(target=erase),
    ]
    threads[0].start()
    assert applying.wait(20)
    threads[1].start()
    assert not erasing.wait(0.5)
    go_on.set()
    for it in threads:
        it.join(20)
    assert erasing.is_set()


def test_workers_with_two_lanes_apply_each_event_once(given):
    """Their groups are not the same, so neither are their lanes."""
    given.messages(*customers(60))
    before = start_over(given)
    parts = [PROJECTIONS, PROJECTIONS[2:5], PROJECTIONS[1:3]]
    threads = [
        Thread(target=projector(given, it).catch_up, args=(1,), kwargs={"limit": 3}) for it in parts
    ]
    for it in threads:
        it.start()
    for it in threads:
        it.join(60)
    given.projector.catch_up(1)
    assert given.tables(workspace=1) == before
