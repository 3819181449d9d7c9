"""Applies definitions of segments and computed attributes."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, text

from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from domain.events.events import (
    ComputedAttributeArchived,
    ComputedAttributeDefined,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.recorded import RecordedEvent
from projections.segments.definitions.attributes import save_attribute_definition
from projections.segments.definitions.definition_change import populate, reevaluate
from projections.segments.definitions.index import load_segment_index, refresh_segment_index
from projections.segments.tables import member, membership_interval, segment_version

_CURRENT_VERSION = f"""
SELECT name, description, condition, registered_since, archived FROM {segment_version}
WHERE workspace = %s AND segment = %s AND replaced_at_position IS NULL
"""

_REPLACE = text(f"""
UPDATE {segment_version} SET replaced_at_position = :position
WHERE workspace = :workspace AND segment = :segment AND replaced_at_position IS NULL
""")

_ADD = text(f"""
INSERT INTO {segment_version} SELECT :workspace, :segment, :position, :version, :at, :registered_since, NULL,
    :archived, :name, :description, :condition, :actor, :reason
""")

_END_MEMBERSHIPS = text(f"""
WITH ended AS (
    DELETE FROM {member} WHERE workspace = :workspace AND segment = :segment RETURNING *
)
INSERT INTO {membership_interval} SELECT *, :at, :position FROM ended
""")

DefinitionEvent = (
    SegmentDefined | SegmentArchived | ComputedAttributeDefined | ComputedAttributeArchived
)


def apply_definition_event(
    tx: Connection, workspace: int, recorded: RecordedEvent, event: DefinitionEvent
) -> SegmentIndex:
    """Applies a definition at its position; returns the index from then on.

    A new definition of a computed attribute re-evaluates every segment that refers to it by name.
    """
    before = load_segment_index(tx, workspace)
    if isinstance(event, ComputedAttributeDefined | ComputedAttributeArchived):
        save_attribute_definition(tx, workspace, recorded, event)
    else:
        _save_segment_version(tx, workspace, recorded, event)
    change = refresh_segment_index(tx, workspace, before, recorded)
    index = change.segment_index
    if isinstance(event, SegmentArchived):
        _end_memberships(tx, workspace, event.segment, change.cause)
    elif isinstance(event, SegmentDefined):
        ordinal = index.order.ordinal_of[event.segment]
        if event.segment in before.order.ordinal_of:
            reevaluate(tx, workspace, change, {ordinal})
        else:
            populate(tx, workspace, change, ordinal)
    else:
        conditions_before = {
            segment.id: _condition_json(segment) for segment in before.order.segments
        }
        changed = {
            ordinal
            for ordinal, segment in enumerate(index.order.segments)
            if _condition_json(segment) != conditions_before[segment.id]
        }
        reevaluate(tx, workspace, change, changed)
    return index


def _condition_json(segment: CompiledSegment) -> bytes:
    """Returns the condition as JSON, because 1 equals True in Python but not in a condition."""
    return msgspec.json.encode(segment.condition)


def _save_segment_version(
    tx: Connection, workspace: int, recorded: RecordedEvent, event: SegmentDefined | SegmentArchived
) -> None:
    current = tx.exec_driver_sql(_CURRENT_VERSION, (workspace, event.segment)).first()
    params = {
        "workspace": workspace,
        "segment": event.segment,
        "position": recorded.position,
        "version": recorded.version,
        "at": to_micros(recorded.recorded_at),
        "registered_since": recorded.position
        if current is None or current.archived
        else current.registered_since,
        "archived": isinstance(event, SegmentArchived),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(event, SegmentDefined):
        document = (event.name, event.description, event.condition)
    elif current is None:
        document = (event.segment, "", b"")
    else:
        document = (current.name, current.description, current.condition)
    tx.execute(_REPLACE, params)
    tx.execute(
        _ADD, params | dict(zip(("name", "description", "condition"), document, strict=True))
    )


def _end_memberships(tx: Connection, workspace: int, segment: str, cause: Cause) -> None:
    """Ends the membership of every member of an archived segment."""
    params = {
        "workspace": workspace,
        "segment": segment,
        "at": cause.at,
        "position": cause.position,
    }
    tx.execute(_END_MEMBERSHIPS, params)
