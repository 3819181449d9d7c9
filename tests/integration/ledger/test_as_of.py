"""As-of reads from the ledger alone: points, histories, states with and without snapshots."""

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
    for instant in {event.recorded_at for event in recorded}:
        assert bench.ledger.point_at(1, instant) == max(
            (event.position, event.recorded_at)
            for event in recorded
            if event.recorded_at <= instant
        )
    assert bench.ledger.point_at(1, recorded[0].recorded_at - A_SECOND) is None
    assert bench.ledger.point_at(1, datetime.max.replace(tzinfo=UTC)) == (
        14,
        recorded[-1].recorded_at,
    )


def test_a_position_beyond_the_last_is_the_last(bench: Bench) -> None:
    assert bench.ledger.point_at(1) is None
    bench.record(tracked())
    assert bench.ledger.point_at(1, 0) is None
    assert (
        bench.ledger.point_at(1, 2**63 - 1)
        == bench.ledger.point_at(1, 1)
        == bench.ledger.point_at(1)
    )


def test_a_history_is_in_order_for_any_page_size(bench: Bench) -> None:
    for number in range(20):
        bench.record(
            tracked("A", user()), tracked("B", anonymous()), tracked(f"{number}", user("x"))
        )
    streams = [bench.ledger.stream_of(1, identifier) for identifier in (user(), anonymous())]
    expected = [event for event in bench.all() if event.stream in streams]
    for limit in (1, 7, 100):
        read, after = [], 0
        while page := bench.ledger.stream_events(1, streams, after=after, until=50, limit=limit):
            read += page
            after = page[-1].position
        assert read == [event for event in expected if event.position <= 50]


def test_a_stream_with_missing_versions_is_an_error_not_an_endless_history(bench: Bench) -> None:
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
    stream = bench.ledger.stream_of(other, user())
    assert bench.ledger.stream_events(1, [stream], after=0, until=9, limit=9) == []
    assert bench.ledger.profile_as_of(1, stream, 1) is None


def test_a_state_is_the_same_with_and_without_snapshots(bench: Bench) -> None:
    fill(bench, 1_050)
    stream = bench.ledger.stream_of(1, user())
    positions = [1, 99, 100, 101, 399, 400, 700, 1_050]
    before = [profile_as_of(bench, stream, position) for position in positions]
    assert [profile.state.counts for profile in before] == [{"Viewed": n} for n in positions]

    assert take_snapshots(bench) == 10
    assert take_snapshots(bench) == 0, "each is taken once"
    assert bench.sql("SELECT version FROM ledger.snapshot ORDER BY 1") == [
        (version,) for version in range(100, 1_001, 100)
    ]
    assert [profile_as_of(bench, stream, position) for position in positions] == before


def test_a_snapshot_is_used(bench: Bench) -> None:
    fill(bench, 250)
    take_snapshots(bench)
    stream = bench.ledger.stream_of(1, user())
    with bench.store.raw_connection() as connection:
        states = snapshots.load_states(connection, 1, {stream: 250})
    assert states[stream].counts == {"Viewed": 250}
    bench.sql("SET ROLE foldline_eraser; UPDATE ledger.event SET state = NULL, salt = NULL")
    assert profile_as_of(bench, stream, 250).state.counts == {"Viewed": 200}


def test_a_snapshot_of_another_format_is_not_used(bench: Bench) -> None:
    fill(bench, 250)
    take_snapshots(bench)
    bench.sql("UPDATE ledger.snapshot SET format = format - 1, state = 'nonsense'")
    stream = bench.ledger.stream_of(1, user())
    assert profile_as_of(bench, stream, 250).state.counts == {"Viewed": 250}


def test_snapshots_of_a_new_format_replace_the_old(bench: Bench) -> None:
    fill(bench, 200)
    take_snapshots(bench)
    bench.sql("UPDATE ledger.snapshot SET format = format - 1")
    bench.sql("UPDATE ledger.snapshot_progress SET format = format - 1")
    assert take_snapshots(bench) == 2
    assert bench.sql("SELECT format FROM ledger.snapshot") == [(profile_state.STATE_FORMAT,)] * 2


def test_system_events_have_no_snapshots(bench: Bench) -> None:
    bench.record(*(tracked(identifiers=()) for _ in range(200)))
    assert take_snapshots(bench) == 0


def test_of_two_processes_only_one_takes_snapshots(bench: Bench) -> None:
    take_snapshots(bench)
    fill(bench, 200)
    with (
        bench.store.raw_connection() as busy,
        busy.transaction(),
        bench.store.raw_connection() as late,
    ):
        assert snapshots.take_due_snapshots(busy, 1) == 2
        assert snapshots.take_due_snapshots(late, 1) == 0


def test_an_erased_stream_has_no_snapshots_not_even_one_that_is_being_taken(bench: Bench) -> None:
    fill(bench, 400)
    stream = bench.ledger.stream_of(1, user())
    with bench.store.raw_connection() as taking, bench.store.raw_connection() as erasing:
        with taking.transaction():
            assert snapshots.take_due_snapshots(taking, 1) == 4
            erasure = threading.Thread(target=delete_snapshots, args=(erasing, stream))
            erasure.start()
            erasure.join(0.2)
            assert erasure.is_alive(), "it waits for the snapshot"
        erasure.join(5)
    assert bench.sql("SELECT count(*) FROM ledger.snapshot") == [(0,)]


def test_no_snapshot_is_taken_during_an_erasure(bench: Bench) -> None:
    fill(bench, 200)
    with bench.store.raw_connection() as erasing, erasing.transaction():
        snapshots.delete_snapshots(erasing, 1, [])
        assert take_snapshots(bench) == 0
    assert take_snapshots(bench) == 2


def test_an_erasure_leaves_the_snapshots_of_other_streams(bench: Bench) -> None:
    fill(bench, 200)
    take_snapshots(bench)
    with bench.store.raw_connection() as connection, connection.transaction():
        snapshots.delete_snapshots(connection, 1, [uuid4()])
    assert bench.sql("SELECT count(*) FROM ledger.snapshot") == [(2,)]


def delete_snapshots(connection, stream) -> None:
    with connection.transaction():
        snapshots.delete_snapshots(connection, 1, [stream])


def fill(bench: Bench, count: int) -> None:
    bench.record(*(tracked() for _ in range(count)))


def take_snapshots(bench: Bench) -> int:
    return Snapshotter(bench.store, bench.ledger.heads).catch_up(threading.Event())


def profile_as_of(bench: Bench, stream, position: int):
    profile = bench.ledger.profile_as_of(1, stream, position)
    assert profile is not None
    assert profile.point.position == position
    return profile
