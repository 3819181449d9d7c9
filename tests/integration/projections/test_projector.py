from __future__ import annotations

import dataclasses
from threading import Barrier, Thread

import pytest
from sqlalchemy import text

from domain.core.errors import LedgerGap
from projections import PROJECTIONS, event_catalogue, timeline
from projections.runtime import batch_size
from projections.runtime.projector import Projector
from tests.builders import anonymous, tracked, user
from tests.integration.projections.given import until
from tests.integration.projections.history import recorded

ALL = len(PROJECTIONS)


def test_a_batch_moves_every_read_model_and_its_checkpoint(given):
    given.feed.workspaces[1] = recorded([tracked("Viewed"), tracked("Bought")])
    assert [(it.position, it.lag, it.updated_at) for it in given.projector.status()] == [
        (0, 2, None)
    ] * ALL

    assert given.projector.advance(1) == 2
    assert given.projector.advance(1) == 0
    assert [(it.position, it.head, it.lag, it.failure) for it in given.projector.status()] == [
        (2, 2, 0, None)
    ] * ALL
    assert given.names() == ["Bought", "Viewed"]


def test_links_move_the_checkpoint_and_show_in_no_list(given):
    history = given.messages(tracked("Viewed", user(), anonymous()))

    assert len(history) == 2
    assert given.names() == ["Viewed"]
    assert given.ask("/events")["projected_to"] == 2


def test_an_erased_event_is_passed_over(given):
    history = recorded([tracked("Viewed"), tracked("Bought")])
    given.feed.workspaces[1] = [history[0]._replace(event=None), history[1]]
    given.projector.catch_up(1)

    assert given.names() == ["Bought"]
    assert given.ask("/events")["projected_to"] == 2


def test_nothing_crosses_workspaces(given):
    given.messages(tracked("Viewed", properties={"a": 1}), workspace=1)
    given.messages(tracked("Bought", properties={"b": 1}), workspace=2)

    assert given.names(workspace=1) == ["Viewed"]
    assert given.names(workspace=2) == ["Bought"]
    assert [it["name"] for it in given.ask("/event-types", workspace=2)["event_types"]] == [
        "Bought"
    ]


def test_preparing_twice_and_at_the_same_time_is_harmless(given):
    given.messages(tracked())
    start = Barrier(2)

    def prepare() -> None:
        start.wait()
        given.projector.prepare()

    threads = [Thread(target=prepare) for _ in range(2)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert given.names() == ["Viewed"]


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_hole_stops_the_read_models_where_they_are(given, missing):
    history = recorded([tracked() for _ in range(4)])
    given.feed.workspaces[1] = [it for it in history if it.position != missing]

    with pytest.raises(LedgerGap) as refused:
        given.projector.catch_up(1)
    assert refused.value.details == {"workspace": 1, "expected": missing, "found": missing + 1}
    assert given.names() == []
    assert {it.position for it in given.projector.status()} == {0}


def test_a_worker_that_was_overtaken_applies_nothing(given):
    """A zombie reads a batch, sleeps while another applies it, then wakes and tries to."""
    given.feed.workspaces[1] = recorded([tracked(properties={"a": 1}) for _ in range(5)])
    zombie = Projector(given.feed, given.engine, PROJECTIONS)
    standing = zombie._group_by_position

    def slowly(*args):
        found = standing(*args)
        given.projector.catch_up(1)
        return found

    zombie._group_by_position = slowly
    assert zombie.advance(1) == 0
    assert len(given.names()) == 5
    assert given.ask("/event-types")["event_types"][0]["count"] == 5


def test_workers_at_the_same_work_apply_each_event_once(given):
    given.feed.workspaces[1] = recorded([tracked(properties={"a": i}) for i in range(300)])
    start = Barrier(3)

    def work() -> None:
        start.wait()
        Projector(given.feed, given.engine, PROJECTIONS).catch_up(1, limit=7)

    threads = [Thread(target=work) for _ in range(3)]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    [seen] = given.ask("/event-types")["event_types"]
    assert seen["count"] == seen["properties"][0]["count"] == 300
    assert len(given.names(limit=500)) == 300


def broken(projection, error):
    def fail(tx, batch):
        projection.apply(tx, batch)
        raise error

    return dataclasses.replace(projection, apply=fail)


def test_a_read_model_that_fails_keeps_nothing_and_holds_up_no_other(given):
    wrong = broken(event_catalogue.projection, ZeroDivisionError("one bad fold"))
    projector = Projector(given.feed, given.engine, (timeline.projection, wrong))
    given.feed.workspaces[1] = recorded([tracked()])

    with pytest.raises(ZeroDivisionError):
        projector.catch_up(1)
    assert [(it.name, it.position) for it in projector.status()] == [
        ("timeline", 1),
        ("event_catalogue", 0),
    ]
    assert given.ask("/event-types")["event_types"] == []

    assert given.projector.catch_up(1) == 1, "once it is mended, it goes on where it stopped"
    assert given.ask("/event-types")["event_types"][0]["count"] == 1


def test_a_running_worker_follows_the_ledger(given, running):
    running(given.projector)
    for name in ("Viewed", "Bought"):
        history = given.feed.workspaces.get(1, [])
        given.feed.workspaces[1] = history + recorded([tracked(name)], after=len(history))
        until(lambda name=name: name in given.names())


def test_a_running_worker_takes_more_at_once_while_much_is_left(given, running, monkeypatch):
    for name, size in (("BATCH_SIZE", 5), ("MAX_BATCH_SIZE", 20)):
        monkeypatch.setattr(batch_size, name, size)
    limits, read = [], given.feed.read

    def counted(workspace, after, limit):
        limits.append(limit)
        return read(workspace, after, limit)

    given.feed.read = counted
    given.feed.workspaces[1] = recorded([tracked(properties={"a": n}) for n in range(200)])
    running(given.projector)
    until(lambda: [it.lag for it in given.projector.status()] == [0] * ALL)
    assert limits[:3] == [5, 10, 20]
    assert limits[-1] == 5
    assert limits[2:] == sorted(limits[2:], reverse=True), "less and less once little is left"
    assert len(given.names(limit=500)) == 200


def test_a_running_worker_marks_what_fails_and_tries_it_again(given, running):
    errors = [ValueError("not today")] * 3

    def moody(tx, batch):
        if errors:
            raise errors.pop()
        event_catalogue.projection.apply(tx, batch)

    sometimes = dataclasses.replace(event_catalogue.projection, apply=moody)
    projector = Projector(given.feed, given.engine, (timeline.projection, sometimes))
    given.feed.workspaces[1] = recorded([tracked()])
    running(projector)

    until(lambda: given.names() == ["Viewed"])
    until(lambda: [it.failure for it in projector.status()] == [None, "ValueError: not today"])
    until(lambda: [it.lag for it in projector.status()] == [0, 0])
    assert [it.failure for it in projector.status()] == [None, None]


def test_a_running_worker_survives_a_ledger_that_cannot_be_read(given, running):
    heads, failures = given.feed.heads, [OSError("gone")]

    def sometimes():
        if failures:
            raise failures.pop()
        return heads()

    given.feed.heads = sometimes
    given.feed.workspaces[1] = recorded([tracked()])
    running(given.projector)
    until(lambda: given.names() == ["Viewed"])


def test_a_hole_in_one_workspace_leaves_the_others_alone(given, running):
    given.feed.workspaces[1] = recorded([tracked()], after=1)
    given.feed.workspaces[2] = recorded([tracked()])
    running(given.projector)

    until(lambda: given.names(workspace=2) == ["Viewed"])
    until(lambda: any("missing" in (it.failure or "") for it in given.projector.status()))
    assert given.names(workspace=1) == []


def test_each_read_model_keeps_to_its_own_schema(given):
    with given.engine.connect() as tx:
        schemas = tx.execute(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read_%'"))
        assert set(schemas.scalars()) == {it.schema for it in PROJECTIONS}


def test_a_projection_refuses_tables_in_another_schema():
    known = timeline.projection.version
    with pytest.raises(ValueError, match=f"read_timeline_v{known}, not read_timeline_v{known + 1}"):
        dataclasses.replace(timeline.projection, version=known + 1)
