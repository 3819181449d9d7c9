"""No definition that the API accepts stops the segments of a workspace."""

from __future__ import annotations

from typing import Any

import pytest

from domain.core.time import to_micros
from tests.builders import merged, tracked, unmerged
from tests.fix_segments import SegmentBench
from tests.integration.projections.history import stream_of
from tests.oracles.membership import members
from tests.segment_history import IDENTIFIERS, HistoryEntry, archived, at, defined, ledger

NUL = "a\0"
DEEP = "properties" + ".a" * 6_000
ALWAYS = {"event": "a", "count": {"at_least": 0}}

EQUALS = {"path": "properties.n", "op": "eq", "value": 1}


def paid(path: str, value: Any) -> dict[str, Any]:
    return {"event": "paid", "where": [{"path": path, "op": "eq", "value": value}]}


@pytest.mark.parametrize(
    "condition",
    [
        {"event": NUL},
        {"event": NUL, "occurrence": "last", "older_than": "1m"},
        {"event": NUL, "where": [{"path": "properties.n", "op": "exists"}]},
        {"event": {"matching": NUL + "*"}},
        {"sequence": [{"event": NUL}, {"event": "b"}]},
        paid('properties["\\u0000"]', "x"),
        paid('properties["\\ud800"]', "x"),
        paid("properties.n", NUL),
        paid(DEEP, 1),
        {"event": "paid", "where": [EQUALS] * 1_700},
        {"event": "paid", "within": {"to": "0001-01-01T00:00:00+14:00"}},
        {"event": "paid", "within": {"from": "9999-12-31T23:59:59-14:00"}},
        {"event": "paid", "aggregate": {"fn": "sum", "path": DEEP, "op": "gt", "value": 1}},
        {"all": [{"event": "paid"}, *[{"event": f"e{n}"} for n in range(300)]]},
    ],
    ids=lambda condition: repr(condition)[:40],
)
def test_a_condition_that_no_profile_can_meet_stops_nothing(
    segment_bench: SegmentBench, condition: Any
) -> None:
    history = [
        HistoryEntry(0, tracked("paid", IDENTIFIERS[0], occurred_at=at(0))),
        HistoryEntry(4, defined("extreme", condition)),
        HistoryEntry(5, tracked("paid", IDENTIFIERS[0], occurred_at=at(5))),
        HistoryEntry(6, defined("buyers", {"event": "paid", "count": {"at_least": 2}})),
    ]
    intervals = segment_bench.intervals(segment_bench.project(ledger(history), 100))
    assert not members(intervals, "extreme", to_micros(at(7)))
    assert members(intervals, "buyers", to_micros(at(7))) == {stream_of(IDENTIFIERS[0])}


def test_values_that_expire_within_a_batch_leave_the_same_rows_as_between_batches(
    segment_bench: SegmentBench,
) -> None:
    spent = {"event": "paid", "within": {"last": "5m"}} | {
        "aggregate": {"fn": "sum", "path": "properties.n", "op": "gte", "value": 1}
    }
    history = [
        HistoryEntry(0, defined("spenders", spent)),
        HistoryEntry(1, tracked("paid", IDENTIFIERS[0], properties={"n": 5}, occurred_at=at(1))),
        HistoryEntry(20, tracked("paid", IDENTIFIERS[0], properties={"n": 5}, occurred_at=at(10))),
    ]
    one_by_one, at_once = (segment_bench.project(ledger(history), size) for size in (1, 100))
    assert segment_bench.rows(one_by_one) == segment_bench.rows(at_once)


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("first", ["define", "unmerge"])
def test_a_profile_that_is_unmerged_is_not_in_a_segment_archived_meanwhile(
    segment_bench: SegmentBench, first: str, size: int
) -> None:
    user, visitor = IDENTIFIERS[0], IDENTIFIERS[4]
    last = [
        HistoryEntry(4, defined("new", ALWAYS)),
        HistoryEntry(5, unmerged(user, visitor, occurred_at=at(5))),
    ]
    history = [
        HistoryEntry(0, defined("old", ALWAYS)),
        HistoryEntry(1, tracked("a", user, occurred_at=at(1))),
        HistoryEntry(1, tracked("a", visitor, occurred_at=at(1))),
        HistoryEntry(2, archived("old")),
        HistoryEntry(3, merged(visitor, user, occurred_at=at(3))),
        *(last if first == "define" else [entry._replace(minute=5) for entry in reversed(last)]),
        HistoryEntry(6, tracked("a", user, occurred_at=at(6))),
    ]
    intervals = segment_bench.intervals(segment_bench.project(ledger(history), size))
    both = {stream_of(user), stream_of(visitor)}
    assert members(intervals, "new", to_micros(at(7))) == both
    assert not members(intervals, "old", to_micros(at(7)))
