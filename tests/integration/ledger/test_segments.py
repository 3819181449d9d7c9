"""Segment definitions: recorded as events, one after the other, also if concurrent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Barrier

import pytest

from application.definitions import ledger_definitions
from application.definitions.segments import SegmentService
from application.definitions.store import CommandContext
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables import definitions as definition_table
from application.ledger.tables.workspaces import Workspaces
from domain.core.errors import Conflict, FoldlineError, InvalidRequest, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.events.events import SegmentArchived, SegmentDefined
from domain.segments.segment import Segment
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

THREADS = 8
BY = CommandContext("key-1", "a test")
BUYERS = DefinitionVersion("Buyers", "", b'{"event": "purchase"}')
LIST = DefinitionVersion("Manual list")


def referring_to(segment: str) -> DefinitionVersion:
    return DefinitionVersion(f"In {segment}", "", b'{"segment": "%b"}' % segment.encode())


@pytest.fixture
def segments(bench: Bench) -> SegmentService:
    return SegmentService(bench.ledger)


def test_a_definition_is_an_event_in_the_segments_own_stream(bench: Bench, segments) -> None:
    created = segments.define(bench.workspace, "buyers", BUYERS, BY)
    again = segments.define(bench.workspace, "buyers", BUYERS, BY)
    archived = segments.archive(bench.workspace, "buyers", BY)
    results = (created, again, archived)
    assert [result.changed for result in results] == [True, False, True]
    assert [result.position for result in results] == [1, 1, 2]
    first, second = segments.history(bench.workspace, "buyers", limit=9)
    assert isinstance(first.event, SegmentDefined)
    assert isinstance(second.event, SegmentArchived)
    assert [first.version, second.version] == [1, 2]
    assert (first.event.actor, first.event.reason) == ("key-1", "a test")
    assert first.event.id != second.event.id
    assert segments.find(bench.workspace, "buyers") == archived.state


def test_other_workspaces_have_segments_of_their_own(bench: Bench, segments) -> None:
    other = bench.workspaces.create("other").id
    segments.define(bench.workspace, "buyers", BUYERS, BY)
    assert segments.find(other, "buyers") == Segment("buyers")
    with pytest.raises(InvalidRequest, match="no segment 'buyers'"):
        segments.define(other, "both", referring_to("buyers"), BY)
    assert segments.create(other, None, BUYERS, BY).state.id == "buyers"


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
    results = [segments.create(bench.workspace, None, DefinitionVersion(name), BY) for _ in ids]
    assert [result.state.id for result in results] == ids


def test_an_id_that_was_ever_used_is_taken(bench: Bench, segments) -> None:
    segments.create(bench.workspace, "buyers", BUYERS, BY)
    segments.archive(bench.workspace, "buyers", BY)
    with pytest.raises(Conflict, match="is or was in use"):
        segments.create(bench.workspace, "buyers", BUYERS, BY)
    assert segments.create(bench.workspace, None, BUYERS, BY).state.id == "buyers-2"
    assert segments.define(bench.workspace, "buyers", BUYERS, BY, version=2).state.version == 3


def test_a_segment_that_others_refer_to_cannot_be_archived(bench: Bench, segments) -> None:
    segments.define(bench.workspace, "buyers", BUYERS, BY)
    segments.define(bench.workspace, "both", referring_to("buyers"), BY)
    with pytest.raises(Conflict) as refused:
        segments.archive(bench.workspace, "buyers", BY)
    assert refused.value.details["used_by"] == ["both"]
    segments.archive(bench.workspace, "both", BY)
    segments.archive(bench.workspace, "buyers", BY)
    with pytest.raises(NotFound):
        segments.archive(bench.workspace, "buyers", BY)


def test_a_version_that_is_not_the_last_is_refused(bench: Bench, segments) -> None:
    workspace = bench.workspace
    with pytest.raises(Conflict, match="version conflict"):
        segments.define(workspace, "buyers", BUYERS, BY, version=1)
    segments.define(workspace, "buyers", BUYERS, BY, version=0)
    for version in (0, 2):
        with pytest.raises(Conflict, match="version conflict"):
            segments.define(workspace, "buyers", LIST._replace(name="x"), BY, version=version)
        with pytest.raises(Conflict, match="version conflict"):
            segments.archive(workspace, "buyers", BY, version=version)
    assert segments.archive(workspace, "buyers", BY, version=1).state.version == 2


def test_the_same_idempotency_key_defines_once(bench: Bench, segments) -> None:
    workspace, first, second = (
        bench.workspace,
        BY._replace(idempotency_key="k-1"),
        BY._replace(idempotency_key="k-2"),
    )
    created = segments.create(workspace, None, BUYERS, first)
    again = segments.create(workspace, None, BUYERS, first)
    expected = (False, created.state, created.position)
    assert (again.changed, again.state, again.position) == expected
    archived = segments.archive(workspace, "buyers", second)
    segments.define(workspace, "buyers", BUYERS, BY)
    again = segments.archive(workspace, "buyers", second)
    assert (again.changed, again.state.exists, again.position) == (False, True, archived.position)
    for different_request in (
        lambda: segments.create(workspace, "other", BUYERS, first),
        lambda: segments.create(workspace, None, LIST, first),
        lambda: segments.define(workspace, "buyers", BUYERS, second),
        lambda: segments.archive(workspace, "buyers", first),
    ):
        with pytest.raises(Conflict, match="different request"):
            different_request()
    assert len(bench.all()) == 3


def test_the_number_of_segments_is_limited(bench: Bench, segments, monkeypatch) -> None:
    monkeypatch.setattr(SegmentService, "max_active", 2)
    for id_ in ("a", "b"):
        segments.define(bench.workspace, id_, BUYERS, BY)
    with pytest.raises(Conflict, match="at most 2"):
        segments.define(bench.workspace, "c", BUYERS, BY)
    segments.define(bench.workspace, "b", BUYERS._replace(name="Other"), BY)
    segments.archive(bench.workspace, "a", BY)
    segments.define(bench.workspace, "c", BUYERS, BY)


def test_a_long_history_is_read_to_its_end(bench: Bench, segments, monkeypatch) -> None:
    monkeypatch.setattr(ledger_definitions, "PAGE_SIZE", 2)
    for number in range(5):
        segments.define(bench.workspace, "a", DefinitionVersion(f"No. {number}"), BY)
    whole = segments.find(bench.workspace, "a")
    assert (whole.version, whole.definition) == (5, DefinitionVersion("No. 4"))


@pytest.fixture
def processes(database: str) -> Iterator[Sequence[Ledger]]:
    """One ledger over the same database for each thread."""
    stores = [LedgerDatastore(database) for _ in range(THREADS)]
    ledgers = [Ledger(store, Workspaces(store), writers=0) for store in stores]
    Workspaces(stores[0]).create("default")
    yield ledgers
    for ledger, store in zip(ledgers, stores, strict=True):
        ledger.close()
        store.close()


def concurrently(processes: Sequence[Ledger], command) -> list[FoldlineError | None]:
    """Run a command in every thread; return the error of each."""
    start = Barrier(len(processes))

    def run(number: int) -> FoldlineError | None:
        service = SegmentService(processes[number])
        service.find(1, "warm")
        start.wait(10)
        try:
            command(service, number)
        except FoldlineError as error:
            return error
        return None

    with ThreadPoolExecutor(len(processes)) as threads:
        return [*threads.map(run, range(len(processes)))]


def replace_the_same_version(processes: Sequence[Ledger]) -> None:
    """Replace the same version in every thread, several times: each time one thread succeeds."""
    rounds = 12
    for version in range(rounds):
        errors = concurrently(
            processes,
            lambda service, number, version=version: service.define(
                1, "race", DefinitionVersion(f"{version} by {number}"), BY, version=version
            ),
        )
        assert [type(error) for error in errors if error] == [Conflict] * (THREADS - 1), errors
    history = SegmentService(processes[0]).history(1, "race", limit=99)
    assert [recorded.version for recorded in history] == [*range(1, rounds + 1)]
    assert [recorded.position for recorded in history] == [*range(1, rounds + 1)]


def test_of_eight_that_replace_the_same_version_one_succeeds(processes) -> None:
    replace_the_same_version(processes)


def test_without_the_lock_the_version_alone_prevents_a_lost_definition(
    processes, monkeypatch
) -> None:
    monkeypatch.setattr(definition_table, "lock_definitions", lambda *_: None)
    replace_the_same_version(processes)


def test_eight_that_name_no_version_all_succeed(processes) -> None:
    errors = concurrently(
        processes,
        lambda service, number: service.define(1, "race", DefinitionVersion(f"{number}"), BY),
    )
    assert errors == [None] * THREADS
    assert SegmentService(processes[0]).find(1, "race").version == THREADS


def refer_in_a_circle(processes: Sequence[Ledger]) -> list[list[FoldlineError | None]]:
    """Let each thread make its segment refer to the next thread's, concurrently."""
    first = SegmentService(processes[0])
    results = []
    for turn in range(12):
        ids = [f"t-{turn}-{number}" for number in range(THREADS)]
        for id_ in ids:
            first.define(1, id_, BUYERS, BY)
        circle = [*pairwise([*ids, ids[0]])]
        results.append(
            concurrently(
                processes,
                lambda service, number, circle=circle: service.define(
                    1, circle[number][0], referring_to(circle[number][1]), BY
                ),
            )
        )
    return results


def test_segments_never_refer_to_each_other_in_a_circle(processes) -> None:
    for errors in refer_in_a_circle(processes):
        [error] = [error for error in errors if error]
        assert isinstance(error, InvalidRequest)
        assert "itself" in str(error)


def test_without_the_lock_they_do(processes, monkeypatch) -> None:
    monkeypatch.setattr(definition_table, "lock_definitions", lambda *_: None)
    assert any(not any(errors) for errors in refer_in_a_circle(processes))
