"""Saves definitions of computed attributes, and loads those that are active."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, text

from domain.conditions import ReferencedValue
from domain.core.time import to_micros
from domain.events.events import ComputedAttributeArchived, ComputedAttributeDefined
from domain.events.recorded import RecordedEvent
from domain.segments.computed_attribute import parse_computation, resolve_all
from projections.segments.tables import computed_attribute

_ACTIVE = (
    f"SELECT attribute, computation FROM {computed_attribute} WHERE workspace = %s AND NOT archived"
)

_DEFINE = text(f"""
INSERT INTO {computed_attribute} AS stored VALUES (:workspace, :attribute, :position, 1, :at, false, :name,
    :description, :computation, :actor, :reason)
ON CONFLICT (workspace, attribute) DO UPDATE SET position = :position, version = stored.version + 1,
    at = :at, archived = false, name = :name, description = :description, computation = :computation,
    actor = :actor, reason = :reason
""")

_ARCHIVE = text(f"""
UPDATE {computed_attribute} SET position = :position, version = version + 1, at = :at, archived = true,
    actor = :actor, reason = :reason
WHERE workspace = :workspace AND attribute = :attribute
""")


def save_attribute_definition(
    tx: Connection,
    workspace: int,
    recorded: RecordedEvent,
    event: ComputedAttributeDefined | ComputedAttributeArchived,
) -> None:
    """Replaces the stored version of a computed attribute."""
    params = {
        "workspace": workspace,
        "attribute": event.attribute,
        "position": recorded.position,
        "at": to_micros(recorded.recorded_at),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(event, ComputedAttributeDefined):
        params |= {
            "name": event.name,
            "description": event.description,
            "computation": event.computation,
        }
        tx.execute(_DEFINE, params)
    else:
        tx.execute(_ARCHIVE, params)


def load_active_attributes(tx: Connection, workspace: int) -> Mapping[str, ReferencedValue]:
    """Returns the active computed attributes by name, references among them resolved."""
    rows = tx.exec_driver_sql(_ACTIVE, (workspace,))
    return resolve_all({name: parse_computation(computation) for name, computation in rows})
