"""Broadcasts system events: triggers rules for every profile of their audiences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition, referenced_segments
from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.rule_index import ActiveRule
from domain.evaluation.rule_runs import TriggerEvent
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from projections.runtime.batch import DecodedMessage
from projections.segments.state import reader, writer
from projections.segments.state.writer import EMPTY_ACCUMULATORS
from projections.segments.tables import accumulator_state, member, stream

_CANDIDATES = f"""
SELECT profile FROM {stream} LEFT JOIN {accumulator_state} AS state USING (workspace, stream)
WHERE workspace = %(workspace)s AND (
    coalesce(state.backfilled_to, first_seen_position) < %(newest_registration)s
    OR state.values <> %(empty)s
)
UNION SELECT profile FROM {member} WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s)
"""
"""Profiles with any accumulator, stored or not backfilled yet, and the members of some segments."""


def has_listeners(index: SegmentIndex, message: DecodedMessage) -> bool:
    """Returns whether a rule listens to a system event."""
    return bool(index.rule_index.triggered_by("system_event", message.document.name))


def broadcast_event(
    tx: Connection, workspace: int, index: SegmentIndex, message: DecodedMessage
) -> None:
    """Triggers the rules that listen to a system event, each for its audience."""
    recorded, document = message.recorded, message.document
    trigger_event = TriggerEvent(
        "system_event",
        document.name,
        {"name": document.name, "properties": document.properties},
        Cause(to_micros(recorded.recorded_at), recorded.position),
        to_micros(message.event.occurred_at),
    )
    rules = index.rule_index.triggered_by(trigger_event.kind, trigger_event.subject)
    audiences = list(_audience_conditions(rules, trigger_event))
    profiles = _candidate_profiles(tx, workspace, index, audiences)
    writer.update_profiles(
        tx, workspace, index, profiles, lambda engine: engine.broadcast(trigger_event)
    )


def _audience_conditions(
    rules: Iterable[ActiveRule], trigger_event: TriggerEvent
) -> Iterator[Condition]:
    for rule in rules:
        definition = rule.definition
        if definition.audience is not None and definition.matches(trigger_event.document):
            condition = definition.audience.resolve(trigger_event.document)
            if condition is not None:
                yield condition


def _candidate_profiles(
    tx: Connection, workspace: int, index: SegmentIndex, audiences: Sequence[Condition]
) -> Sequence[UUID]:
    """Returns a superset of the profiles that meet one of the audience conditions."""
    if not audiences:
        return ()
    audience_index = SegmentIndex.build(
        [
            CompiledSegment(f"?{number}", condition)  # cannot be a segment's id
            for number, condition in enumerate(audiences)
        ]
    )
    if audience_index.always_evaluate:
        return reader.all_profiles(tx, workspace)
    registrations = index.registrations.by_key
    registered_at = [
        registrations[key].since.position
        for key in audience_index.accumulators
        if key in registrations
    ]
    params = {
        "workspace": workspace,
        "segments": sorted(frozenset[str]().union(*map(referenced_segments, audiences))),
        "newest_registration": max(registered_at, default=0),
        "empty": EMPTY_ACCUMULATORS,
    }
    return reader.sort_ids(tx.exec_driver_sql(_CANDIDATES, params).scalars())
