"""Rows of current and past memberships, and that unchanged rows are not written again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import literal_column, select

from domain.core.time import to_micros
from domain.events.events import ManualListChanged
from projections.segments import tables
from tests.builders import tracked
from tests.fix_segments import Interval, SegmentBench
from tests.integration.projections.history import stream_of, with_payload
from tests.segment_history import (
    IDENTIFIERS,
    START,
    Decision,
    HistoryEntry,
    archived,
    at,
    defined,
    ledger,
)

ANN = IDENTIFIERS[0]
PAID = {"event": "paid"}


def list_change(listed: bool) -> Decision:
    event = ManualListChanged(id=UUID(int=0), segment="vips", listed=listed, occurred_at=START)
    return Decision(event, stream_of(ANN))


def paid(minute: int) -> HistoryEntry:
    return HistoryEntry(minute, tracked("paid", ANN, occurred_at=at(minute)))


@pytest.mark.parametrize("size", [1, 3, 100])
def test_leaving_and_entering_again_at_one_instant_makes_two_intervals(
    segment_bench: SegmentBench, size: int
) -> None:
    history = [
        HistoryEntry(0, defined("vips", None)),
        paid(0),
        HistoryEntry(1, list_change(True)),
        HistoryEntry(1, list_change(False)),
        HistoryEntry(1, list_change(True)),
    ]
    workspace, now = segment_bench.project(ledger(history), size), to_micros(at(1))
    assert sorted(
        segment_bench.intervals(workspace), key=lambda interval: interval.entered_position
    ) == [
        Interval(workspace, "vips", stream_of(ANN), now, 3, now, 4),
        Interval(workspace, "vips", stream_of(ANN), now, 5),
    ]


def membership_state(segment_bench: SegmentBench) -> Any:
    """Returns the place and the contents of the only row."""
    query = select(literal_column("ctid::text"), tables.membership_state.c.member_of)
    with segment_bench.engine.connect() as tx:
        return tx.execute(query).one()


def test_an_event_that_changes_no_membership_does_not_write_the_row(
    segment_bench: SegmentBench,
) -> None:
    history = [
        HistoryEntry(0, defined("often", PAID | {"count": {"at_least": 9}})),
        HistoryEntry(0, defined("buyers", PAID)),
        HistoryEntry(0, defined("gone", PAID)),
        *(paid(minute) for minute in (1, 2)),
        HistoryEntry(3, archived("gone")),
        *(paid(minute) for minute in (4, 5)),
    ]
    records, rows = ledger(history), []
    for position in (4, 5, 7, 8):
        segment_bench.feed.workspaces[1] = records[:position]
        segment_bench.projector.catch_up(1)
        rows.append(membership_state(segment_bench))
    first, second, third, fourth = rows
    assert first == second
    assert len(first.member_of) == 2 * len(third.member_of) == 32, "archived segments are dropped"
    assert third == fourth


def test_a_member_inserted_in_bulk_leaves_like_others(segment_bench: SegmentBench) -> None:
    history = [paid(0), HistoryEntry(1, defined("buyers", PAID | {"within": {"last": "5m"}}))]
    workspace = segment_bench.project(ledger(history), 100)
    times = to_micros(at(1)), 2, to_micros(at(5)), 0
    assert segment_bench.intervals(workspace) == [
        Interval(workspace, "buyers", stream_of(ANN), *times)
    ]


def test_an_accumulator_that_expired_returns_to_its_place_in_the_row(
    segment_bench: SegmentBench,
) -> None:
    """With batches of one, the old view expires when the late one is applied.

    The last view is then added after the payment.
    """

    def viewed(minute: int, occurred_minute: float) -> HistoryEntry:
        message = tracked("viewed", ANN, occurred_at=at(occurred_minute))
        return HistoryEntry(minute, with_payload(message, {"properties": {"seconds": 1}}))

    longest = {"fn": "max", "path": "properties.seconds", "op": "gte", "value": 1}
    viewers = {"event": "viewed", "aggregate": longest, "within": {"last": "2m"}}
    history = [
        HistoryEntry(0, defined("viewers", viewers)),
        HistoryEntry(0, defined("buyers", PAID)),
        viewed(0, 0),
        paid(1),
        viewed(10, 0.5),
        viewed(11, 11),
    ]
    one_by_one, at_once = (
        segment_bench.rows(segment_bench.project(ledger(history), size)) for size in (1, 100)
    )
    assert one_by_one == at_once
