"""Guarantees of an append: each message once, dense positions in order, valid evidence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest
from eventsourcing.persistence import EventStore

from application.ledger.append.evidence import commitment_of, leaf_hash
from application.ledger.mapper import EventMapper
from application.ledger.recorder import LedgerRecorder
from application.ledger.tables.rejected import Rejection
from domain.core.time import to_micros
from domain.events.events import (
    AttributesChanged,
    EventTracked,
    IdentifiersLinked,
    ProfilesMerged,
    SystemEventOccurred,
)
from tests.builders import NOON, anonymous, tracked, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage


@pytest.mark.smoke
def test_a_message_is_recorded_with_what_was_received(bench: Bench) -> None:
    message = tracked("Viewed", user("u-1"), raw=b'{"odd": \xff}')
    assert bench.record(message).recorded == 1

    (recorded,) = bench.all()
    event = recorded.event
    assert isinstance(event, EventTracked)
    assert (recorded.position, recorded.version) == (1, 1)
    assert (event.payload, event.raw) == (message.payload, message.raw)
    assert event.originator_id == recorded.stream == bench.ledger.stream_of(1, user("u-1"))


def test_a_duplicate_is_success_and_adds_nothing(bench: Bench) -> None:
    once = tracked(message_id="same")
    assert bench.record(once, once)[1:] == (1, 1, 0, 0)
    assert bench.record(once)[1:] == (0, 1, 0, 0)
    assert len(bench.all()) == 1


@pytest.mark.parametrize("length", [1, 100, 101, 10_000])
def test_ids_of_any_length_are_distinct(bench: Bench, length: int) -> None:
    bench.record(tracked(message_id="x" * length), tracked(message_id="X" * length))
    assert bench.record(tracked(message_id="x" * length)).duplicates == 1
    assert len(bench.all()) == 2


def test_the_same_id_in_another_workspace_is_another_message(bench: Bench) -> None:
    other = bench.workspaces.create("other").id
    message = tracked(message_id="same")
    bench.record(message)
    assert bench.ledger.record(other, [message]).result(10) == (1, 1, 0, 0, 0)
    [first], [second] = bench.all(), bench.ledger.read(other, 0, 9)
    assert first.stream != second.stream, "stream ids are keyed with the workspace's secret"


def test_a_reused_message_id_keeps_the_first_content_and_rejects_the_second(bench: Bench) -> None:
    bench.record(tracked(message_id="same", fingerprint=1))
    second = tracked(message_id="same", fingerprint=2)
    assert bench.record(second).duplicates == 1
    (row,) = bench.ledger.list_rejected(bench.workspace)
    assert (row.code, row.message_id, row.raw) == ("id_used_before", "same", second.payload)


def test_each_kind_of_message_is_recorded_as_its_event_class(bench: Bench) -> None:
    bench.record(
        tracked(),
        tracked(kind="page"),
        tracked(kind="identify"),
        tracked(kind="alias", absorbs=(user("u-0"),)),
        tracked("Restocked", message_id="system", identifiers=()),
    )
    kinds = [type(recorded.event) for recorded in bench.all()]
    assert kinds == [
        EventTracked,
        EventTracked,
        AttributesChanged,
        ProfilesMerged,
        SystemEventOccurred,
    ]
    assert bench.all()[3].event.absorbed == (user("u-0"),)


def test_a_link_is_recorded_once_and_again_only_when_shown_earlier(bench: Bench) -> None:
    both = (user(), anonymous())
    for at in (NOON, NOON + timedelta(hours=1), NOON - timedelta(hours=1), NOON):
        bench.record(tracked("Viewed", *both, occurred_at=at))
    links = [r.event for r in bench.all() if isinstance(r.event, IdentifiersLinked)]
    assert [link.occurred_at for link in links] == [NOON, NOON - timedelta(hours=1)]
    assert {links[0].left, links[0].right} == set(both)


def test_a_link_shown_only_by_a_duplicate_is_not_recorded(bench: Bench) -> None:
    bench.record(tracked(message_id="same"))
    bench.record(tracked("Viewed", user(), anonymous(), message_id="same"))
    assert not any(isinstance(r.event, IdentifiersLinked) for r in bench.all())


def test_a_link_shown_only_by_a_duplicate_is_still_new_to_the_next_message(bench: Bench) -> None:
    both = (user(), anonymous())
    bench.record(tracked("V", user(), message_id="m"))
    bench.record(tracked("V", *both, message_id="m"))
    bench.record(tracked("V", *both))
    assert sum(isinstance(r.event, IdentifiersLinked) for r in bench.all()) == 1


def test_positions_and_versions_are_dense_and_time_never_goes_back(bench: Bench) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: bench.record(*(tracked("V", user(f"u-{(n + k) % 7}")) for k in range(9))),
                range(60),
            )
        )
    recorded = bench.all()
    assert [r.position for r in recorded] == list(range(1, 541))
    assert [r.recorded_at for r in recorded] == sorted(r.recorded_at for r in recorded)
    for stream in {r.stream for r in recorded}:
        versions = [r.version for r in recorded if r.stream == stream]
        assert versions == list(range(1, len(versions) + 1))


def test_recorded_at_does_not_follow_a_clock_that_goes_back(bench: Bench) -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    bench.sql("UPDATE ledger.ledger_head SET recorded_at = %s", ahead)
    bench.record(tracked())
    assert bench.all()[0].recorded_at == ahead


def test_every_row_carries_its_evidence(bench: Bench) -> None:
    bench.record(tracked(), tracked("Other", user("u-2")))
    for row in bench.sql(
        "SELECT workspace, originator_id, originator_version, recorded_at, topic,"
        " salt, commitment, leaf, state FROM ledger.event"
    ):
        workspace, stream, version, recorded_at, topic, salt, commitment, leaf, state = row
        assert commitment == commitment_of(salt, state) == sha256(b"\2" + salt + state).digest()
        assert leaf == leaf_hash(
            workspace, stream.bytes, version, to_micros(recorded_at), topic.encode(), commitment
        )


def test_no_header_reveals_an_identifier(bench: Bench) -> None:
    bench.record(tracked("V", user("ann@example.com"), message_id="ann@example.com"))
    headers = bench.sql(
        "SELECT workspace, position, originator_id, originator_version, topic FROM ledger.event"
    )
    assert b"ann" not in repr(headers).encode()
    assert bench.sql("SELECT digest FROM ledger.message_seen") == [(UUID(bytes=_digest(bench)),)]


def _digest(bench: Bench) -> bytes:
    return bench.all()[0].event.id.bytes


@pytest.mark.parametrize(
    "forbidden",
    [
        "UPDATE ledger.event SET topic = 'x'",
        "UPDATE ledger.event SET state = 'x'",
        "UPDATE ledger.event SET state = NULL, salt = NULL, position = 9",
        "DELETE FROM ledger.event",
        "TRUNCATE ledger.event",
    ],
)
def test_not_even_the_owner_can_edit_the_ledger(bench: Bench, forbidden: str) -> None:
    bench.record(tracked())
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        bench.sql(forbidden)


@pytest.mark.parametrize(
    "forbidden", ["UPDATE ledger.event SET state = NULL", "DELETE FROM ledger.event"]
)
def test_the_service_role_lacks_the_privilege(bench: Bench, forbidden: str) -> None:
    with (
        bench.store.raw_connection() as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"),
    ):
        connection.execute(forbidden)


def test_only_the_eraser_may_blank_a_payload(bench: Bench) -> None:
    bench.record(tracked())
    bench.sql("SET ROLE foldline_eraser; UPDATE ledger.event SET state = NULL, salt = NULL")
    assert bench.all()[0].event is None


def test_a_repeated_rejection_is_stored_once_and_counted(bench: Bench) -> None:
    bad = Rejection("no_user", "who? \0 \ud800", b"\0\xff", "segment", NOON)
    for _ in range(3):
        assert bench.record(rejections=(bad,)).rejected == 1
    (row,) = bench.ledger.list_rejected(bench.workspace)
    assert (row.code, row.raw, row.times) == ("no_user", b"\0\xff", 3)


def test_the_library_reads_a_stream(bench: Bench) -> None:
    bench.record(tracked("A"), tracked("B"), tracked("A", user(), anonymous()))
    events: EventStore[Any] = EventStore(EventMapper(), LedgerRecorder(bench.store, 1))
    read = list(events.get(bench.ledger.stream_of(1, user())))
    assert read == [recorded.event for recorded in bench.all()]
    assert [event.originator_version for event in read] == [1, 2, 3, 4]
