"""What concerns no single person sets rules off for everybody in their audience."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition
from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.rule_index import ActiveRule
from domain.evaluation.rule_runs import TriggerEvent
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex
from domain.segments.segment import referenced_segments
from projections.runtime.batch import DecodedMessage
from projections.segments.state import reader, writer
from projections.segments.state.writer import EMPTY_ACCUMULATORS
from projections.segments.tables import accumulator_state, member, stream

_CANDIDATES = f"""
SELECT person FROM {stream} LEFT JOIN {accumulator_state} AS known USING (workspace, stream)
WHERE workspace = %(workspace)s
    AND (coalesce(known.upto, met_by) < %(newest)s OR known.values <> %(nothing)s)
UNION SELECT person FROM {member} WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s)
"""
"""All of whom anything is remembered, or may be once it is looked up, and who are in certain segments."""


def has_listeners(index: SegmentIndex, message: DecodedMessage) -> bool:
    """Say whether a rule listens to such an event."""
    return bool(index.rule_index.triggered_by("system_event", message.document.name))


def broadcast_event(
    tx: Connection, workspace: int, index: SegmentIndex, message: DecodedMessage
) -> None:
    """Set off the rules that listen to an event, each for its audience."""
    recorded, document = message.recorded, message.document
    occasion = TriggerEvent(
        "system_event",
        document.name,
        {"name": document.name, "properties": document.properties},
        Cause(to_micros(recorded.recorded_at), recorded.position),
        to_micros(message.event.occurred_at),
    )
    heard = index.rule_index.triggered_by(occasion.kind, occasion.subject)
    persons = _candidate_profiles(tx, workspace, index, list(_audience_conditions(heard, occasion)))
    writer.update_profiles(tx, workspace, index, persons, lambda it: it.broadcast(occasion))


def _audience_conditions(
    rules: Iterable[ActiveRule], trigger_event: TriggerEvent
) -> Iterator[Condition]:
    for it in rules:
        if it.definition.audience is not None and it.definition.matches(trigger_event.document):
            condition = it.definition.audience.resolve(trigger_event.document)
            if condition is not None:
                yield condition


def _candidate_profiles(
    tx: Connection, workspace: int, index: SegmentIndex, conditions: Sequence[Condition]
) -> Sequence[UUID]:
    """Return everybody for whom one of the conditions may hold."""
    if not conditions:
        return ()
    asked = SegmentIndex(
        [CompiledSegment(f"?{at}", it) for at, it in enumerate(conditions)]
    )  # no segment's id
    if asked.always_evaluate:
        return reader.all_profiles(tx, workspace)
    segments = sorted(frozenset[str]().union(*map(referenced_segments, conditions)))
    since = [
        index.registrations[it].since.position
        for it in asked.accumulators
        if it in index.registrations
    ]
    facts = {
        "workspace": workspace,
        "segments": segments,
        "newest": max(since, default=0),
        "nothing": EMPTY_ACCUMULATORS,
    }
    return reader.sort_ids(tx.exec_driver_sql(_CANDIDATES, facts).scalars())
