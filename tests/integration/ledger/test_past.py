"""The past from the ledger alone: places, histories, and states that snapshots make quick."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from application.ledger.read import snapshots
from application.ledger.read.snapshotter import Snapshotter
from domain.core.errors import LedgerGap
from domain.profiles import state as profile_state
from tests.builders import anonymous, tracked, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

A_SECOND = timedelta(seconds=1)


def test_an_instant_is_the_last_position_that_was_recorded_by_then(bench: Bench) -> None:
    for _ in range(7):
        bench.record(tracked(), tracked())
    recorded = bench.all()
    for one in recorded:
        place = bench.ledger.point_at(1, one.recorded_at)
        assert place == max(
            (it.position, it.recorded_at) for it in recorded if it.recorded_at <= one.recorded_at
        )
    assert bench.ledger.point_at(1, recorded[0].recorded_at - A_SECOND) is None
    assert bench.ledger.point_at(1, datetime.max.replace(tzinfo=UTC)) == (
        14,
        recorded[-1].recorded_at,
    )


def test_a_position_past_the_end_is_the_end(bench: Bench) -> None:
    assert bench.ledger.point_at(1) is None
    bench.record(tracked())
    assert bench.ledger.point_at(1, 0) is None
    assert (
        bench.ledger.point_at(1, 2**63 - 1)
        == bench.ledger.point_at(1, 1)
        == bench.ledger.point_at(1)
    )


def test_a_history_is_in_order_whichever_page_it_is_read_by(bench: Bench) -> None:
    for number in range(20):
        bench.record(
            tracked("A", user()), tracked("B", anonymous()), tracked(f"{number}", user("x"))
        )
    streams = [bench.ledger.stream_of(1, it) for it in (user(), anonymous())]
    expected = [it for it in bench.all() if it.stream in streams]
    for limit in (1, 7, 100):
        read, after = [], 0
        while page := bench.ledger.stream_events(1, streams, after=after, until=50, limit=limit):
            read += page
            after = page[-1].position
        assert read == [it for it in expected if it.position <= 50]


def test_a_stream_that_lost_versions_is_no_history_that_goes_round_for_ever(bench: Bench) -> None:
    for _ in range(3):
        bench.record(tracked())
    bench.sql("UPDATE ledger.stream_head SET version = version + 2")
    streams = [bench.ledger.stream_of(1, user())]
    assert len(bench.ledger.stream_events(1, streams, after=0, until=9, limit=9)) == 3
    with pytest.raises(LedgerGap):
        bench.ledger.stream_events(1, streams, after=3, until=9, limit=9)


def test_streams_of_another_workspace_are_not_seen(bench: Bench) -> None:
    other = bench.workspaces.create("other").id
    bench.record(tracked())
    bench.ledger.record(other, [tracked()]).result(10)
    theirs = bench.ledger.stream_of(other, user())
    assert bench.ledger.stream_events(1, [theirs], after=0, until=9, limit=9) == []
    assert bench.ledger.profile_as_of(1, theirs, 1) is None


def test_a_state_is_the_same_with_and_without_snapshots(bench: Bench) -> None:
    fill(bench, 1_050)
    stream = bench.ledger.stream_of(1, user())
    places = [1, 99, 100, 101, 399, 400, 700, 1_050]
    before = [past_of(bench, stream, it) for it in places]
    assert [it.state.counts for it in before] == [{"Viewed": it} for it in places]

    assert keep(bench) == 10
    assert keep(bench) == 0, "each is taken once"
    assert bench.sql("SELECT version FROM ledger.snapshot ORDER BY 1") == [
        (it,) for it in range(100, 1_001, 100)
    ]
    assert [past_of(bench, stream, it) for it in places] == before


def test_a_snapshot_is_used(bench: Bench) -> None:
    fill(bench, 250)
    keep(bench)
    stream = bench.ledger.stream_of(1, user())
    with bench.store.raw_connection() as connection:
        reached = snapshots.load_states(connection, 1, {stream: 250})
    assert reached[stream].counts == {"Viewed": 250}
    bench.sql("SET ROLE foldline_eraser; UPDATE ledger.event SET state = NULL, salt = NULL")
    assert past_of(bench, stream, 250).state.counts == {"Viewed": 200}


def test_a_snapshot_of_another_format_is_not(bench: Bench) -> None:
    fill(bench, 250)
    keep(bench)
    bench.sql("UPDATE ledger.snapshot SET format = format - 1, state = 'nonsense'")
    stream = bench.ledger.stream_of(1, user())
    assert past_of(bench, stream, 250).state.counts == {"Viewed": 250}


def test_a_new_format_takes_the_place_of_the_old(bench: Bench) -> None:
    fill(bench, 200)
    keep(bench)
    bench.sql("UPDATE ledger.snapshot SET format = format - 1")
    bench.sql("UPDATE ledger.snapshot_progress SET format = format - 1")
    assert keep(bench) == 2
    assert bench.sql("SELECT format FROM ledger.snapshot") == [(profile_state.STATE_FORMAT,)] * 2


def test_events_that_concern_nobody_have_no_snapshots(bench: Bench) -> None:
    bench.record(*(tracked(identifiers=()) for _ in range(200)))
    assert keep(bench) == 0


def test_of_two_who_take_snapshots_one_leaves_it_to_the_other(bench: Bench) -> None:
    keep(bench)
    fill(bench, 200)
    with (
        bench.store.raw_connection() as busy,
        busy.transaction(),
        bench.store.raw_connection() as late,
    ):
        assert snapshots.take_due_snapshots(busy, 1) == 2
        assert snapshots.take_due_snapshots(late, 1) == 0


def test_forgotten_streams_have_no_snapshots_not_even_one_that_is_being_taken(bench: Bench) -> None:
    fill(bench, 400)
    stream = bench.ledger.stream_of(1, user())
    with bench.store.raw_connection() as keeping, bench.store.raw_connection() as forgetting:
        with keeping.transaction():
            assert snapshots.take_due_snapshots(keeping, 1) == 4
            forgotten = threading.Thread(target=forget, args=(forgetting, stream))
            forgotten.start()
            forgotten.join(0.2)
            assert forgotten.is_alive(), "it waits for the snapshot"
        forgotten.join(5)
    assert bench.sql("SELECT count(*) FROM ledger.snapshot") == [(0,)]


def test_while_somebody_is_being_forgotten_no_snapshot_is_taken(bench: Bench) -> None:
    fill(bench, 200)
    with bench.store.raw_connection() as forgetting, forgetting.transaction():
        snapshots.delete_snapshots(forgetting, 1, [])
        assert keep(bench) == 0
    assert keep(bench) == 2


def test_forgetting_leaves_the_snapshots_of_others(bench: Bench) -> None:
    fill(bench, 200)
    keep(bench)
    with bench.store.raw_connection() as connection, connection.transaction():
        snapshots.delete_snapshots(connection, 1, [uuid4()])
    assert bench.sql("SELECT count(*) FROM ledger.snapshot") == [(2,)]


def forget(connection, stream) -> None:
    with connection.transaction():
        snapshots.delete_snapshots(connection, 1, [stream])


def fill(bench: Bench, count: int) -> None:
    bench.record(*(tracked() for _ in range(count)))


def keep(bench: Bench) -> int:
    return Snapshotter(bench.store, bench.ledger.heads).catch_up(threading.Event())


def past_of(bench: Bench, stream, position: int):
    past = bench.ledger.profile_as_of(1, stream, position)
    assert past is not None
    assert past.point.position == position
    return past
