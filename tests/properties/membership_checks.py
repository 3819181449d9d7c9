"""Checks that the members of a segment are those that the oracle expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.conditions import parse_condition
from domain.conditions.accumulators import Accumulator
from domain.core.time import to_micros
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from domain.events.recorded import RecordedEvent
from projections.segments.backfill import sql
from tests.fix_segments import SegmentBench
from tests.oracles.membership import expected_members, members
from tests.segment_history import LISTS, HistoryEntry, at, defined, instants, ledger


def check_members(
    segment_bench: SegmentBench, document: Any, history: Sequence[HistoryEntry], cut: int, size: int
) -> None:
    """Defines a segment after ``cut`` entries of a history, and checks its members from then on."""
    minute = history[cut - 1].minute if cut else 0
    whole = [
        *(HistoryEntry(0, defined(segment, None)) for segment in LISTS),
        *history[:cut],
        HistoryEntry(minute, defined("tested", document)),
        *history[cut:],
    ]
    records = ledger(whole)
    workspace = segment_bench.project(records, 4_000)
    intervals = segment_bench.intervals(workspace)
    for clock in instants(records):
        if clock >= to_micros(at(minute)):
            assert members(intervals, "tested", clock) == expected_members(
                records, document, clock
            ), clock
    check_backfill(segment_bench, workspace, document, records)
    in_batches = segment_bench.project(records, size)
    assert segment_bench.rows(in_batches) == segment_bench.rows(workspace)


def check_backfill(
    segment_bench: SegmentBench, workspace: int, document: Any, records: Sequence[RecordedEvent]
) -> None:
    """Checks that backfill in SQL and backfill event by event return the same values."""
    position, now = records[-1].position, to_micros(records[-1].recorded_at)
    index = SegmentIndex.build([CompiledSegment("tested", parse_condition(document))])
    with segment_bench.engine.begin() as tx:
        for accumulator in index.accumulators.values():
            from_times = sql.times_summary(accumulator)
            if from_times is None:
                continue
            in_sql = sql.aggregate_in_sql(
                tx, workspace, from_times, position=position, now=now, until=None
            )
            runs = [sql.AccumulatorRun(accumulator)]
            in_python = sql.aggregate_in_python(tx, workspace, runs, position)[accumulator.key]
            assert _to_stored(accumulator, in_sql, now) == _to_stored(accumulator, in_python, now)


def _to_stored(
    accumulator: Accumulator, values: Mapping[UUID, Any], now: int
) -> Mapping[UUID, Any]:
    return {stream: accumulator.to_stored(value, now) for stream, value in values.items()}
