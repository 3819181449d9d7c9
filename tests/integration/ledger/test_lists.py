"""Manual lists: one event for each profile that changes, none for the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from application.definitions import manual_lists
from application.definitions.manual_lists import ManualListChange
from application.definitions.segments import MAX_LIST_CHANGES, SegmentService
from application.definitions.store import CommandContext
from application.ledger.tables import definitions as definition_table
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.core.identifiers import Identifier
from domain.definitions.definition import DefinitionVersion
from domain.events.events import ManualListChanged
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

BY = CommandContext("key-1", "a test")
ANN, BOB, PHONE, UNKNOWN = user("ann"), user("bob"), anonymous("phone"), user("unknown")


class Lists:
    """A manual list, and profiles to add to it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.workspace = bench, bench.workspace
        hours = count(1)
        self.segments = SegmentService(bench.ledger, lambda: NOON - timedelta(hours=next(hours)))
        self.segments.define(self.workspace, "vips", DefinitionVersion("VIPs"), BY)
        bench.record(tracked("Viewed", ANN, PHONE), tracked("Viewed", BOB))

    def stream(self, reference: Identifier | UUID) -> UUID:
        if isinstance(reference, UUID):
            return reference
        return self.bench.ledger.stream_of(self.workspace, reference)

    def change(self, *wanted: tuple[Identifier | UUID, bool], by: CommandContext = BY) -> list[str]:
        changes = [ManualListChange(self.stream(reference), listed) for reference, listed in wanted]
        result = self.segments.change_list(self.workspace, "vips", changes, by)
        assert result.position == len(self.bench.all())
        return list(result.statuses)

    def events(self) -> Sequence[ManualListChanged]:
        events = (recorded.event for recorded in self.bench.all())
        return [event for event in events if isinstance(event, ManualListChanged)]


@pytest.fixture
def lists(bench: Bench) -> Lists:
    return Lists(bench)


def test_each_change_has_its_own_status(lists: Lists) -> None:
    unknown = [UNKNOWN, UUID(int=7), lists.bench.ledger.segment_stream(lists.workspace, "vips")]
    changes = [(reference, True) for reference in (ANN, *unknown, PHONE, BOB)]
    statuses = lists.change(*changes, (PHONE, False))
    assert statuses == ["listed", *["unknown"] * 3, "unchanged", "listed", "contradicted"]
    ann, bob = lists.events()
    assert [ann.originator_id, bob.originator_id] == [lists.stream(ANN), lists.stream(BOB)]
    assert (ann.segment, ann.listed, ann.actor, ann.reason) == ("vips", True, "key-1", "a test")
    assert ann.id != bob.id


def test_a_change_without_effect_adds_nothing(lists: Lists) -> None:
    assert lists.change((ANN, False)) == ["unchanged"]
    assert lists.change((ANN, True)) == ["listed"]
    assert lists.change((PHONE, True), (ANN, True)) == ["unchanged"] * 2
    assert lists.change((PHONE, False)) == ["listed"]
    assert lists.change((PHONE, True)) == ["listed"]
    assert [event.listed for event in lists.events()] == [True, False, True]


def test_the_last_change_is_the_latest_even_if_the_clock_goes_back(lists: Lists) -> None:
    """The clock of these tests runs backwards."""
    for identifier, listed in ((ANN, True), (PHONE, False), (ANN, True)):
        lists.change((identifier, listed))
    times = [event.occurred_at for event in lists.events()]
    assert times == sorted(set(times))


def test_only_the_last_change_of_the_current_profile_counts(lists: Lists) -> None:
    lists.change((ANN, True))
    lists.bench.record(merged(ANN, BOB, occurred_at=NOON))
    assert lists.change((BOB, True)) == ["unchanged"]
    assert lists.change((BOB, False)) == ["listed"]
    lists.bench.record(unmerged(BOB, ANN, occurred_at=NOON + timedelta(hours=1)))
    assert lists.change((ANN, False), (BOB, False)) == ["listed", "unchanged"]


def test_an_identifier_known_only_from_a_link_can_be_listed(lists: Lists) -> None:
    mail = Identifier("email", "ann@example.com")
    lists.bench.record(tracked("Viewed", ANN, mail))
    assert lists.change((mail, True), (PHONE, True)) == ["listed", "unchanged"]


def test_the_same_idempotency_key_changes_once(lists: Lists) -> None:
    keyed = BY._replace(idempotency_key="k-1")
    assert lists.change((ANN, True), by=keyed) == ["listed"]
    assert lists.change((ANN, False)) == ["listed"]
    assert lists.change((ANN, True), by=keyed) == ["unchanged"]
    assert lists.change((ANN, True)) == ["listed"]


def test_only_manual_lists_accept_changes(lists: Lists) -> None:
    with pytest.raises(NotFound):
        lists.segments.change_list(lists.workspace, "nothing", [], BY)
    lists.segments.define(lists.workspace, "x", DefinitionVersion("x", "", b'{"event": "x"}'), BY)
    with pytest.raises(Conflict, match="condition"):
        lists.segments.change_list(lists.workspace, "x", [], BY)
    lists.segments.archive(lists.workspace, "vips", BY)
    with pytest.raises(NotFound):
        lists.change((ANN, True))
    many = [ManualListChange(UUID(int=n), listed=True) for n in range(MAX_LIST_CHANGES + 1)]
    with pytest.raises(InvalidRequest, match="at most 1,000"):
        lists.segments.change_list(lists.workspace, "vips", many, BY)


def test_a_thousand_at_once(lists: Lists) -> None:
    users = [user(f"u-{n}") for n in range(MAX_LIST_CHANGES)]
    devices = [anonymous(f"a-{n}") for n in range(MAX_LIST_CHANGES)]
    lists.bench.record(*(tracked("Viewed", *pair) for pair in zip(users, devices, strict=True)))
    assert lists.change(*((id_, True) for id_ in users)) == ["listed"] * MAX_LIST_CHANGES
    assert lists.change(*((id_, True) for id_ in devices)) == ["unchanged"] * MAX_LIST_CHANGES


def test_suppressed_profiles_are_not_listed(lists: Lists) -> None:
    suppress(lists, ANN)
    assert lists.change((PHONE, True), (ANN, True), (BOB, True)) == ["suppressed"] * 2 + ["listed"]


def suppress(lists: Lists, identifier: Identifier) -> None:
    """Suppress a profile in the ledger only, without read models."""
    profile = lists.bench.ledger.profile(lists.workspace, lists.stream(identifier))
    for stream in profile.streams:
        row = lists.workspace, stream, profile.id, NOON
        lists.bench.sql("INSERT INTO ledger.suppressed VALUES (%s, %s, %s, %s)", *row)
    lists.bench.sql("UPDATE ledger.ledger_head SET erasures = erasures + 1")


def suppress_between_reading_and_appending(lists: Lists, monkeypatch) -> list[str]:
    read, calls = definition_table.manual_list_changes, count()

    def read_then_suppress(connection, workspace, streams):
        changes = read(connection, workspace, streams)
        if next(calls) == 0:
            suppress(lists, ANN)
        return changes

    monkeypatch.setattr(definition_table, "manual_list_changes", read_then_suppress)
    return lists.change((ANN, True), (BOB, True))


def test_a_profile_suppressed_during_the_command_is_not_listed(lists: Lists, monkeypatch) -> None:
    statuses = suppress_between_reading_and_appending(lists, monkeypatch)
    assert statuses == ["suppressed", "listed"]


def test_without_the_erasure_epoch_it_is_listed(lists: Lists, monkeypatch) -> None:
    append = manual_lists.append_events
    monkeypatch.setattr(manual_lists, "append_events", lambda *params: append(*params[:3]))
    statuses = suppress_between_reading_and_appending(lists, monkeypatch)
    assert statuses == ["listed", "listed"]
