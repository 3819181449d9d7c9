"""Deciding about segments: kept as events, one after the other, whoever decides at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier

import pytest

from application.definitions import segments as deciding
from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables import definitions as kept
from application.ledger.tables.workspaces import Workspaces
from domain.core.errors import Conflict, FoldlineError, InvalidRequest, NotFound
from domain.events.events import SegmentArchived, SegmentDefined
from domain.segments.segment import Segment, SegmentVersion
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

THREADS = 8
BY = CommandContext("key-1", "a test")
BUYERS = SegmentVersion("Buyers", "", b'{"event": "purchase"}')
LIST = SegmentVersion("By hand")


def asks(segment: str) -> SegmentVersion:
    return SegmentVersion(f"Asks {segment}", "", b'{"segment": "%b"}' % segment.encode())


@pytest.fixture
def segments(bench: Bench) -> SegmentService:
    return SegmentService(bench.ledger)


def test_a_decision_is_an_event_of_the_segments_own_stream(bench: Bench, segments) -> None:
    made = segments.define(bench.workspace, "buyers", BUYERS, BY)
    again = segments.define(bench.workspace, "buyers", BUYERS, BY)
    gone = segments.archive(bench.workspace, "buyers", BY)
    assert [it.changed for it in (made, again, gone)] == [True, False, True]
    assert [it.position for it in (made, again, gone)] == [1, 1, 2]
    one, two = segments.history(bench.workspace, "buyers", limit=9)
    assert isinstance(one.event, SegmentDefined)
    assert isinstance(two.event, SegmentArchived)
    assert [one.version, two.version] == [1, 2]
    assert (one.event.actor, one.event.reason) == ("key-1", "a test")
    assert one.event.id != two.event.id
    assert segments.segment(bench.workspace, "buyers") == gone.segment


def test_other_workspaces_have_segments_of_their_own(bench: Bench, segments) -> None:
    other = bench.workspaces.create("other").id
    segments.define(bench.workspace, "buyers", BUYERS, BY)
    assert segments.segment(other, "buyers") == Segment("buyers")
    with pytest.raises(InvalidRequest, match="no segment 'buyers'"):
        segments.define(other, "both", asks("buyers"), BY)
    assert segments.create(other, None, BUYERS, BY).segment.id == "buyers"


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("Big Spenders!", ["big-spenders", "big-spenders-2", "big-spenders-3"]),
        ("Größte Käufer", ["grote-kaufer", "grote-kaufer-2", "grote-kaufer-3"]),
        ("客户", ["segment", "segment-2", "segment-3"]),
        ("x" * 200, ["x" * 50, "x" * 50 + "-2", "x" * 50 + "-3"]),
    ],
)
def test_an_id_is_made_of_the_name(bench: Bench, segments, name, ids) -> None:
    made = [segments.create(bench.workspace, None, SegmentVersion(name), BY) for _ in ids]
    assert [it.segment.id for it in made] == ids


def test_an_id_that_was_ever_used_is_taken(bench: Bench, segments) -> None:
    segments.create(bench.workspace, "buyers", BUYERS, BY)
    segments.archive(bench.workspace, "buyers", BY)
    with pytest.raises(Conflict, match="there is or was"):
        segments.create(bench.workspace, "buyers", BUYERS, BY)
    assert segments.create(bench.workspace, None, BUYERS, BY).segment.id == "buyers-2"
    assert segments.define(bench.workspace, "buyers", BUYERS, BY, version=2).segment.version == 3


def test_what_others_ask_about_can_not_be_archived(bench: Bench, segments) -> None:
    segments.define(bench.workspace, "buyers", BUYERS, BY)
    segments.define(bench.workspace, "both", asks("buyers"), BY)
    with pytest.raises(Conflict) as refused:
        segments.archive(bench.workspace, "buyers", BY)
    assert refused.value.details["used_by"] == ["both"]
    segments.archive(bench.workspace, "both", BY)
    segments.archive(bench.workspace, "buyers", BY)
    with pytest.raises(NotFound):
        segments.archive(bench.workspace, "buyers", BY)


def test_a_version_that_is_not_the_last_is_refused(bench: Bench, segments) -> None:
    workspace = bench.workspace
    with pytest.raises(Conflict, match="look again"):
        segments.define(workspace, "buyers", BUYERS, BY, version=1)
    segments.define(workspace, "buyers", BUYERS, BY, version=0)
    for version in (0, 2):
        with pytest.raises(Conflict, match="look again"):
            segments.define(workspace, "buyers", LIST._replace(name="x"), BY, version=version)
        with pytest.raises(Conflict, match="look again"):
            segments.archive(workspace, "buyers", BY, version=version)
    assert segments.archive(workspace, "buyers", BY, version=1).segment.version == 2


def test_the_same_key_decides_once(bench: Bench, segments) -> None:
    workspace, first, second = bench.workspace, BY._replace(key="k-1"), BY._replace(key="k-2")
    made = segments.create(workspace, None, BUYERS, first)
    again = segments.create(workspace, None, BUYERS, first)
    assert (again.changed, again.segment, again.position) == (False, made.segment, made.position)
    gone = segments.archive(workspace, "buyers", second)
    segments.define(workspace, "buyers", BUYERS, BY)
    again = segments.archive(workspace, "buyers", second)
    assert (again.changed, again.segment.is_there, again.position) == (False, True, gone.position)
    for other in (
        lambda: segments.create(workspace, "other", BUYERS, first),
        lambda: segments.create(workspace, None, LIST, first),
        lambda: segments.define(workspace, "buyers", BUYERS, second),
        lambda: segments.archive(workspace, "buyers", first),
    ):
        with pytest.raises(Conflict, match="another decision"):
            other()
    assert len(bench.all()) == 3


def test_there_is_a_most(bench: Bench, segments, monkeypatch) -> None:
    monkeypatch.setattr(deciding, "MAX_SEGMENTS", 2)
    for id_ in ("a", "b"):
        segments.define(bench.workspace, id_, BUYERS, BY)
    with pytest.raises(Conflict, match="at most 2"):
        segments.define(bench.workspace, "c", BUYERS, BY)
    segments.define(bench.workspace, "b", BUYERS._replace(name="Other"), BY)
    segments.archive(bench.workspace, "a", BY)
    segments.define(bench.workspace, "c", BUYERS, BY)


def test_a_long_history_is_read_to_its_end(bench: Bench, segments, monkeypatch) -> None:
    monkeypatch.setattr(deciding, "_PAGE_SIZE", 2)
    for number in range(5):
        segments.define(bench.workspace, "a", SegmentVersion(f"No. {number}"), BY)
    whole = segments.segment(bench.workspace, "a")
    assert (whole.version, whole.definition) == (5, SegmentVersion("No. 4"))


@pytest.fixture
def processes(database: str) -> Iterator[Sequence[Ledger]]:
    """As many ledgers over one database as there are threads."""
    stores = [LedgerDatastore(database) for _ in range(THREADS)]
    ledgers = [Ledger(it, Workspaces(it), writers=0) for it in stores]
    Workspaces(stores[0]).create("default")
    yield ledgers
    for ledger, store in zip(ledgers, stores, strict=True):
        ledger.close()
        store.close()


def at_once(processes: Sequence[Ledger], decide) -> list[FoldlineError | None]:
    """Have every thread decide something; return what each was refused for."""
    start = Barrier(len(processes))

    def run(number: int) -> FoldlineError | None:
        decider = SegmentService(processes[number])
        decider.segment(1, "warm")
        start.wait(10)
        try:
            decide(decider, number)
        except FoldlineError as refused:
            return refused
        return None

    with ThreadPoolExecutor(len(processes)) as threads:
        return [*threads.map(run, range(len(processes)))]


def define_from_the_same(processes: Sequence[Ledger]) -> None:
    """Everybody changes what they have seen, again and again: one of them gets through."""
    rounds = 12
    for version in range(rounds):
        refused = at_once(
            processes,
            lambda decider, number, version=version: decider.define(
                1, "race", SegmentVersion(f"{version} by {number}"), BY, version=version
            ),
        )
        assert [type(it) for it in refused if it] == [Conflict] * (THREADS - 1), refused
    found = SegmentService(processes[0]).history(1, "race", limit=99)
    assert [it.version for it in found] == [*range(1, rounds + 1)]
    assert [it.position for it in found] == [*range(1, rounds + 1)]


def test_of_eight_who_decide_on_the_same_version_one_gets_through(processes) -> None:
    define_from_the_same(processes)


def test_without_turns_versions_alone_keep_a_decision_from_being_lost(
    processes, monkeypatch
) -> None:
    monkeypatch.setattr(kept, "lock_definitions", lambda *_: None)
    define_from_the_same(processes)


def test_eight_who_do_not_look_all_get_their_turn(processes) -> None:
    refused = at_once(
        processes,
        lambda decider, number: decider.define(1, "race", SegmentVersion(f"{number}"), BY),
    )
    assert refused == [None] * THREADS
    assert SegmentService(processes[0]).segment(1, "race").version == THREADS


def ask_in_a_circle(processes: Sequence[Ledger]) -> list[list[FoldlineError | None]]:
    """Everybody has their segment ask about the next one's, all at once."""
    first = SegmentService(processes[0])
    results = []
    for turn in range(12):
        ids = [f"t-{turn}-{number}" for number in range(THREADS)]
        for it in ids:
            first.define(1, it, BUYERS, BY)
        circle = [*pairwise([*ids, ids[0]])]
        results.append(
            at_once(
                processes,
                lambda decider, number, circle=circle: decider.define(
                    1, circle[number][0], asks(circle[number][1]), BY
                ),
            )
        )
    return results


def test_segments_never_ask_about_each_other_in_a_circle(processes) -> None:
    for refused in ask_in_a_circle(processes):
        [error] = [it for it in refused if it]
        assert isinstance(error, InvalidRequest)
        assert "itself" in str(error)


def test_without_turns_they_do(processes, monkeypatch) -> None:
    monkeypatch.setattr(kept, "lock_definitions", lambda *_: None)
    assert any(not any(refused) for refused in ask_in_a_circle(processes))
