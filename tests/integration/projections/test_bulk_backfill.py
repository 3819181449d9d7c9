"""New segments populated by SQL: members, and timers of profiles that may enter later."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from domain.conditions import parse_condition
from domain.core.time import to_micros
from projections.segments import tables
from projections.segments.backfill import bulk
from tests.builders import tracked, unmerged
from tests.fix_segments import SegmentBench
from tests.integration.projections.history import stream_of
from tests.oracles.membership import members
from tests.segment_history import IDENTIFIERS, HistoryEntry, archived, at, defined, ledger

WITHIN = {"event": "paid", "within": {"last": "5m"}}
SUM = {"fn": "sum", "path": "properties.n", "op": "gte", "value": 1}
MAX = {"fn": "max", "path": "properties.n", "op": "lt", "value": 3}


def test_a_number_compares_as_the_double_that_is_read_from_it(segment_bench: SegmentBench) -> None:
    payload = b'{"type":"track","event":"paid","properties":{"n":0.30000000000000001}}'
    paid = msgspec.structs.replace(
        tracked("paid", IDENTIFIERS[0], occurred_at=at(0)), payload=payload
    )
    more = {"fn": "sum", "path": "properties.n", "op": "gt", "value": 0.3}
    equal = {"path": "properties.n", "op": "eq", "value": 0.3}
    history = [
        HistoryEntry(0, paid),
        HistoryEntry(4, defined("more", {"event": "paid", "aggregate": more})),
        HistoryEntry(4, defined("equal", {"event": "paid", "where": [equal]})),
    ]
    intervals = segment_bench.intervals(segment_bench.project(ledger(history), 100))
    assert [interval.segment for interval in intervals] == ["equal"]


@pytest.mark.parametrize(
    ("condition", "first"),
    [
        (WITHIN | {"count": {"exactly": 1}}, 1),
        (WITHIN | {"aggregate": SUM}, -3),
        (WITHIN | {"aggregate": MAX}, 9),
        ({"all": [WITHIN, {"none": [WITHIN | {"count": {"at_least": 2}}]}]}, 1),
    ],
)
def test_an_event_that_leaves_the_window_lets_a_profile_enter(
    segment_bench: SegmentBench, condition: Any, first: int
) -> None:
    payer = IDENTIFIERS[0]
    history = [
        HistoryEntry(0, tracked("paid", payer, properties={"n": first}, occurred_at=at(0))),
        HistoryEntry(3, tracked("paid", payer, properties={"n": 2}, occurred_at=at(3))),
        HistoryEntry(4, defined("new", condition)),
    ]
    assert bulk.compile_members_query(parse_condition(condition), to_micros(at(4))) is not None
    intervals = segment_bench.intervals(segment_bench.project(ledger(history), 100))
    is_member = [
        bool(members(intervals, "new", to_micros(at(minute)))) for minute in (4, 4.9, 5, 7.9, 8)
    ]
    assert is_member == [False, False, True, True, False]
    assert {interval.profile for interval in intervals} == {stream_of(payer)}


@pytest.mark.parametrize(
    ("condition", "has_timer"),
    [
        ({"all": [WITHIN, {"none": [{"event": "gone"}]}]}, False),
        ({"all": [WITHIN, {"none": [{"event": "gone", "within": {"last": "9m"}}]}]}, True),
        ({"all": [{"none": [WITHIN]}, {"event": "gone"}]}, True),
        ({"all": [WITHIN | {"count": {"at_most": 0}}, {"event": "gone"}]}, True),
        ({"all": [WITHIN, {"event": "gone", "count": {"at_least": 2}}]}, False),
    ],
)
def test_only_a_profile_that_can_enter_without_an_event_has_a_timer(
    segment_bench: SegmentBench, condition: Any, has_timer: bool
) -> None:
    history = [
        HistoryEntry(0, tracked("paid", IDENTIFIERS[0], occurred_at=at(0))),
        HistoryEntry(1, tracked("gone", IDENTIFIERS[0], occurred_at=at(1))),
        HistoryEntry(2, defined("new", condition)),
    ]
    segment_bench.feed.workspaces[1] = list(ledger(history))
    segment_bench.projector.catch_up(1)
    with segment_bench.engine.connect() as tx:
        timers = tx.execute(select(tables.membership_state.c.next_timer)).scalars().all()
    assert not segment_bench.intervals(1)
    assert [timer is not None for timer in timers] == ([True] if has_timer else [])


@pytest.mark.parametrize("is_archived", [False, True])
def test_profiles_without_a_change_have_the_same_rows_however_batches_are_cut(
    segment_bench: SegmentBench, is_archived: bool
) -> None:
    """An earlier fact links a profile to one of the batch, which loads it in some cuts only."""
    user, other, email, second, _, visitor = IDENTIFIERS
    condition = {"all": []} if is_archived else {"event": "paid"}
    history = [
        HistoryEntry(0, unmerged(email, user, occurred_at=at(0))),
        HistoryEntry(0, tracked("paid", user, occurred_at=at(0))),
        *([HistoryEntry(0, tracked("came", email, occurred_at=at(0)))] if is_archived else []),
        HistoryEntry(1, defined("new", condition)),
        *([HistoryEntry(2, archived("new"))] if is_archived else []),
        HistoryEntry(
            3, tracked("alias", user, kind="alias", absorbs=(second, visitor), occurred_at=at(3))
        ),
        HistoryEntry(3, unmerged(other, other, occurred_at=at(3))),
        HistoryEntry(3, tracked("paid", user, occurred_at=at(3))),
    ]
    records = ledger(history)
    at_once, one_by_one = (
        segment_bench.rows(segment_bench.project(records, size)) for size in (100, 1)
    )
    assert at_once == one_by_one
