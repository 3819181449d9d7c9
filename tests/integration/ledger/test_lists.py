"""Lists kept by hand: one event for each person, and none for those that it does not concern."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from application.definitions import manual_lists
from application.definitions.manual_lists import ManualListChange
from application.definitions.segments import MAX_LIST_CHANGES, CommandContext, SegmentService
from application.ledger.tables import definitions as kept
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.core.identifiers import Identifier
from domain.events.events import ManualListChanged
from domain.segments.segment import SegmentVersion
from tests.builders import NOON, anonymous, merged, tracked, unmerged, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

BY = CommandContext("key-1", "a test")
ANN, BOB, PHONE, NOBODY = user("ann"), user("bob"), anonymous("phone"), user("nobody")


class Lists:
    """A segment kept by hand, and people to put on it."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.workspace = bench, bench.workspace
        hours = count(1)
        self.segments = SegmentService(bench.ledger, lambda: NOON - timedelta(hours=next(hours)))
        self.segments.define(self.workspace, "vips", SegmentVersion("VIPs"), BY)
        bench.record(tracked("Viewed", ANN, PHONE), tracked("Viewed", BOB))

    def stream(self, who: Identifier | UUID) -> UUID:
        return who if isinstance(who, UUID) else self.bench.ledger.stream_of(self.workspace, who)

    def put(self, *wanted: tuple[Identifier | UUID, bool], by: CommandContext = BY) -> list[str]:
        asked = [ManualListChange(self.stream(who), listed) for who, listed in wanted]
        done = self.segments.change_list(self.workspace, "vips", asked, by)
        assert done.position == len(self.bench.all())
        return list(done.statuses)

    def events(self) -> Sequence[ManualListChanged]:
        return [it.event for it in self.bench.all() if isinstance(it.event, ManualListChanged)]


@pytest.fixture
def lists(bench: Bench) -> Lists:
    return Lists(bench)


def test_each_for_themselves(lists: Lists) -> None:
    strangers = [NOBODY, UUID(int=7), lists.bench.ledger.segment_stream(lists.workspace, "vips")]
    asked = [(it, True) for it in (ANN, *strangers, PHONE, BOB)]
    verdicts = lists.put(*asked, (PHONE, False))
    assert verdicts == ["listed", *["unknown"] * 3, "unchanged", "listed", "contradicted"]
    ann, bob = lists.events()
    assert [ann.originator_id, bob.originator_id] == [lists.stream(ANN), lists.stream(BOB)]
    assert (ann.segment, ann.listed, ann.actor, ann.reason) == ("vips", True, "key-1", "a test")
    assert ann.id != bob.id


def test_what_is_so_already_adds_nothing(lists: Lists) -> None:
    assert lists.put((ANN, False)) == ["unchanged"]
    assert lists.put((ANN, True)) == ["listed"]
    assert lists.put((PHONE, True), (ANN, True)) == ["unchanged"] * 2
    assert lists.put((PHONE, False)) == ["listed"]
    assert lists.put((PHONE, True)) == ["listed"]
    assert [it.listed for it in lists.events()] == [True, False, True]


def test_the_last_word_is_the_latest_whatever_the_clocks_say(lists: Lists) -> None:
    """The clock of these tests runs backwards."""
    for who, listed in ((ANN, True), (PHONE, False), (ANN, True)):
        lists.put((who, listed))
    times = [it.occurred_at for it in lists.events()]
    assert times == sorted(set(times))


def test_only_the_last_word_about_the_person_now_counts(lists: Lists) -> None:
    lists.put((ANN, True))
    lists.bench.record(merged(ANN, BOB, occurred_at=NOON))
    assert lists.put((BOB, True)) == ["unchanged"]
    assert lists.put((BOB, False)) == ["listed"]
    lists.bench.record(unmerged(BOB, ANN, occurred_at=NOON + timedelta(hours=1)))
    assert lists.put((ANN, False), (BOB, False)) == ["listed", "unchanged"]


def test_a_name_that_only_a_link_tells_is_known(lists: Lists) -> None:
    mail = Identifier("email", "ann@example.com")
    lists.bench.record(tracked("Viewed", ANN, mail))
    assert lists.put((mail, True), (PHONE, True)) == ["listed", "unchanged"]


def test_the_same_key_lists_once(lists: Lists) -> None:
    keyed = BY._replace(key="k-1")
    assert lists.put((ANN, True), by=keyed) == ["listed"]
    assert lists.put((ANN, False)) == ["listed"]
    assert lists.put((ANN, True), by=keyed) == ["unchanged"]
    assert lists.put((ANN, True)) == ["listed"]


def test_only_lists_take_people(lists: Lists) -> None:
    with pytest.raises(NotFound):
        lists.segments.change_list(lists.workspace, "nothing", [], BY)
    lists.segments.define(lists.workspace, "x", SegmentVersion("x", "", b'{"event": "x"}'), BY)
    with pytest.raises(Conflict, match="condition"):
        lists.segments.change_list(lists.workspace, "x", [], BY)
    lists.segments.archive(lists.workspace, "vips", BY)
    with pytest.raises(NotFound):
        lists.put((ANN, True))
    many = [ManualListChange(UUID(int=n), listed=True) for n in range(MAX_LIST_CHANGES + 1)]
    with pytest.raises(InvalidRequest, match="at most 1,000"):
        lists.segments.change_list(lists.workspace, "vips", many, BY)


def test_a_thousand_at_once(lists: Lists) -> None:
    people = [user(f"u-{n}") for n in range(MAX_LIST_CHANGES)]
    lists.bench.record(*(tracked("Viewed", it, anonymous(it.value)) for it in people))
    assert lists.put(*((it, True) for it in people)) == ["listed"] * MAX_LIST_CHANGES
    assert (
        lists.put(*((anonymous(it.value), True) for it in people))
        == ["unchanged"] * MAX_LIST_CHANGES
    )


def test_nothing_is_recorded_of_the_suppressed(lists: Lists) -> None:
    suppress(lists, ANN)
    assert lists.put((PHONE, True), (ANN, True), (BOB, True)) == ["suppressed"] * 2 + ["listed"]


def suppress(lists: Lists, who: Identifier) -> None:
    """As `Erasing.suppress` does, without read models."""
    person = lists.bench.ledger.profile(lists.workspace, lists.stream(who))
    for stream in person.streams:
        row = lists.workspace, stream, person.id, NOON
        lists.bench.sql("INSERT INTO ledger.suppressed VALUES (%s, %s, %s, %s)", *row)
    lists.bench.sql("UPDATE ledger.ledger_head SET erasures = erasures + 1")


def suppress_between_looking_and_recording(lists: Lists, monkeypatch) -> list[str]:
    looked, times = kept.manual_list_changes, count()

    def look(connection, workspace, streams):
        found = looked(connection, workspace, streams)
        if next(times) == 0:
            suppress(lists, ANN)
        return found

    monkeypatch.setattr(kept, "manual_list_changes", look)
    return lists.put((ANN, True), (BOB, True))


def test_somebody_suppressed_meanwhile_is_seen(lists: Lists, monkeypatch) -> None:
    done = suppress_between_looking_and_recording(lists, monkeypatch)
    assert done == ["suppressed", "listed"]


def test_without_the_count_of_erasures_they_are_not(lists: Lists, monkeypatch) -> None:
    append = manual_lists.append_events
    monkeypatch.setattr(manual_lists, "append_events", lambda *asked: append(*asked[:3]))
    done = suppress_between_looking_and_recording(lists, monkeypatch)
    assert done == ["listed", "listed"]
