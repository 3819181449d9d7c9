"""Checks that who is kept in a segment is who the oracle says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.conditions import parse_condition
from domain.core.time import to_micros
from domain.evaluation.accumulators import Accumulator
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex
from domain.events.recorded import RecordedEvent
from projections.segments.backfill import sql
from tests.fix_segments import Kept
from tests.oracles.membership import expected, members
from tests.segment_history import LISTS, Said, at, defined, instants, ledger


def holds_as_the_oracle_says(
    kept: Kept, document: Any, history: Sequence[Said], cut: int, size: int
) -> None:
    """Define a segment after so many messages, and check who is in it from then on."""
    minute = history[cut - 1].minute if cut else 0
    whole = [
        *(Said(0, defined(it, None)) for it in LISTS),
        *history[:cut],
        Said(minute, defined("asked", document)),
        *history[cut:],
    ]
    records = ledger(whole)
    workspace = kept.project(records, 4_000)
    stays = kept.stays(workspace)
    for clock in instants(records):
        if clock >= to_micros(at(minute)):
            assert members(stays, "asked", clock) == expected(records, document, clock), clock
    readings_agree(kept, workspace, document, records)
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


def readings_agree(
    kept: Kept, workspace: int, document: Any, records: Sequence[RecordedEvent]
) -> None:
    """Check that the server gathers what is found by looking at each event."""
    position, now = records[-1].position, to_micros(records[-1].recorded_at)
    memories = SegmentIndex([CompiledSegment("asked", parse_condition(document))]).accumulators
    with kept.engine.begin() as tx:
        for it in filter(sql.can_aggregate_in_sql, memories.values()):
            there = sql.aggregate_in_sql(tx, workspace, it, position=position, now=now, until=None)
            here = sql.aggregate_in_python(tx, workspace, [sql.AccumulatorRun(it)], position)[
                it.key
            ]
            assert _remembered(it, there, now) == _remembered(it, here, now)


def _remembered(memory: Accumulator, values: Mapping[UUID, Any], now: int) -> Mapping[UUID, Any]:
    return {stream: memory.to_stored(value, now) for stream, value in values.items()}
