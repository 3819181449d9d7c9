"""What was decided about segments, and how a decision takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Engine, text

from domain import conditions
from domain.conditions import Condition
from domain.conditions import ReferencedValue as Named
from domain.conditions.profile_facts import ManualListCondition
from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.segment_index import CompiledSegment, Registration, SegmentIndex
from domain.events.events import (
    ComputedAttributeArchived,
    ComputedAttributeDefined,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.recorded import RecordedEvent
from projections.segments.definitions import active_rules, attributes
from projections.segments.definitions.definition_change import (
    DefinitionChange,
    populate,
    reevaluate,
)
from projections.segments.tables import (
    accumulator_registration,
    computed_attribute,
    member,
    membership_interval,
    rule_version,
    segment_version,
)

MAX_ACCUMULATORS = 100_000
"""More than one condition can ask for: it has at most as many bytes."""

_LAST = f"""
SELECT coalesce(greatest(
    (SELECT max(position) FROM {segment_version} WHERE workspace = %(workspace)s),
    (SELECT max(position) FROM {computed_attribute} WHERE workspace = %(workspace)s),
    (SELECT max(position) FROM {rule_version} WHERE workspace = %(workspace)s)
), 0)
"""

_IN_EFFECT = f"""
SELECT segment, condition, since FROM {segment_version}
WHERE workspace = %s AND until IS NULL AND NOT archived
"""

_REGISTRATIONS = f"SELECT key, number, at, by FROM {accumulator_registration} WHERE workspace = %s"

_REGISTER = text(
    f"INSERT INTO {accumulator_registration} VALUES (:workspace, :number, :key, :at, :by)"
)

_UNREGISTER = text(
    f"DELETE FROM {accumulator_registration} WHERE workspace = :workspace AND number = ANY(:numbers)"
)

_REPLACE = text(f"""
UPDATE {segment_version} SET until = :position
WHERE workspace = :workspace AND segment = :segment AND until IS NULL
""")

_ADD = text(f"""
INSERT INTO {segment_version} SELECT :workspace, :segment, :position, :version, :at, :since, NULL, :archived,
    :name, :description, :condition, :actor, :reason
""")

_CURRENT_VERSION = f"""
SELECT name, description, condition, since, archived FROM {segment_version}
WHERE workspace = %s AND segment = %s AND until IS NULL
"""

_END = text(f"""
WITH ended AS (
    DELETE FROM {member} WHERE workspace = :workspace AND segment = :segment RETURNING *
)
INSERT INTO {membership_interval} SELECT *, :at, :position FROM ended
""")

DefinitionEvent = (
    SegmentDefined | SegmentArchived | ComputedAttributeDefined | ComputedAttributeArchived
)


class _CachedIndex(NamedTuple):
    last_position: int
    segment_index: SegmentIndex


_index_cache: WeakKeyDictionary[Engine, dict[int, _CachedIndex]] = WeakKeyDictionary()


def load_segment_index(tx: Connection, workspace: int) -> SegmentIndex:
    """Return the segments, computed attributes and rules of a workspace as they were last decided."""
    last = int(tx.exec_driver_sql(_LAST, {"workspace": workspace}).scalar_one())
    of = _index_cache.setdefault(tx.engine, {})
    seen = of.get(workspace)
    if seen is None or seen.last_position != last:
        rows = tx.exec_driver_sql(_REGISTRATIONS, (workspace,))
        asked = {key: Registration(number, Cause(at, by)) for key, number, at, by in rows}
        seen = of[workspace] = _CachedIndex(last, _build_index(tx, workspace, asked))
    return seen.segment_index


def resolve_segment_condition(
    segment: str, stored: bytes, values: Mapping[str, Named]
) -> Condition:
    """Return the condition of a segment; one that nobody said is a list kept by hand."""
    return (
        conditions.resolve_references(_decode_condition(stored), values)
        if stored
        else ManualListCondition(segment)
    )


@lru_cache(maxsize=4_096)
def _decode_condition(stored: bytes) -> Condition:
    return conditions.parse_condition(msgspec.json.decode(stored), allow_references=True)


def apply_definition_event(
    tx: Connection, workspace: int, recorded: RecordedEvent, event: DefinitionEvent
) -> SegmentIndex:
    """Let a decision take effect at its position, and return the segments as they are then.

    What a computed attribute is from then on is asked anew in every segment that asks about it by name.
    """
    before = load_segment_index(tx, workspace)
    if isinstance(event, ComputedAttributeDefined | ComputedAttributeArchived):
        attributes.save_attribute_definition(tx, workspace, recorded, event)
    else:
        _save_segment_version(tx, workspace, recorded, event)
    after = refresh_segment_index(tx, workspace, before, recorded)
    if isinstance(event, SegmentArchived):
        _end_memberships(tx, workspace, event.segment, after.cause)
    elif isinstance(event, SegmentDefined):
        place = after.segment_index.ordinal_of[event.segment]
        if event.segment in before.ordinal_of:
            reevaluate(tx, workspace, after, {place})
        else:
            populate(tx, workspace, after, place)
    else:
        spelt = {it.id: _condition_json(it) for it in before.segments}
        changed = (_condition_json(it) != spelt[it.id] for it in after.segment_index.segments)
        reevaluate(tx, workspace, after, {place for place, it in enumerate(changed) if it})
    return after.segment_index


def refresh_segment_index(
    tx: Connection, workspace: int, before: SegmentIndex, recorded: RecordedEvent
) -> DefinitionChange:
    """Let what was decided be in effect."""
    at = Cause(to_micros(recorded.recorded_at), recorded.position)
    after = _build_index(tx, workspace)
    after.registrations = _register_accumulators(tx, workspace, before, after, at)
    _index_cache[tx.engine][workspace] = _CachedIndex(recorded.position, after)
    return DefinitionChange(
        after, at, sorted(after.accumulators.keys() - before.accumulators.keys())
    )


def _condition_json(segment: CompiledSegment) -> bytes:
    """Return a rule's condition as text, for 1 equals True and is something else."""
    return msgspec.json.encode(segment.condition)


def _build_index(
    tx: Connection, workspace: int, registrations: Mapping[str, Registration] = {}
) -> SegmentIndex:
    values = attributes.load_active_attributes(tx, workspace)
    rows = tx.exec_driver_sql(_IN_EFFECT, (workspace,)).all()
    rules = (
        CompiledSegment(it, resolve_segment_condition(it, said, values), since)
        for it, said, since in rows
    )
    return SegmentIndex(rules, registrations, values, active_rules.load_active_rules(tx, workspace))


def _register_accumulators(
    tx: Connection, workspace: int, before: SegmentIndex, after: SegmentIndex, at: Cause
) -> Mapping[str, Registration]:
    """Give numbers to what is remembered from now on, take those of what is not; return them all."""
    gone = before.accumulators.keys() - after.accumulators.keys()
    new = sorted(after.accumulators.keys() - before.accumulators.keys())
    made = {
        key: Registration(at.position * MAX_ACCUMULATORS + place, at)
        for place, key in enumerate(new)
    }
    if gone:
        numbers = sorted(before.codec.stored_ids[it] for it in gone)
        tx.execute(_UNREGISTER, {"workspace": workspace, "numbers": numbers})
    if made:
        rows = [
            {
                "workspace": workspace,
                "number": it.stored_id,
                "key": key,
                "at": at.at,
                "by": at.position,
            }
            for key, it in made.items()
        ]
        tx.execute(_REGISTER, rows)
    return {key: it for key, it in before.registrations.items() if key not in gone} | made


def _save_segment_version(
    tx: Connection, workspace: int, recorded: RecordedEvent, event: SegmentDefined | SegmentArchived
) -> None:
    last = tx.exec_driver_sql(_CURRENT_VERSION, (workspace, event.segment)).first()
    was_there = last is not None and not last.archived
    row = {
        "workspace": workspace,
        "segment": event.segment,
        "position": recorded.position,
        "version": recorded.version,
        "at": to_micros(recorded.recorded_at),
        "since": last.since if last is not None and was_there else recorded.position,
        "archived": isinstance(event, SegmentArchived),
        "actor": event.actor,
        "reason": event.reason,
    }
    if isinstance(event, SegmentDefined):
        said = (event.name, event.description, event.condition)
    else:
        said = (event.segment, "", b"") if last is None else tuple(last)[:3]
    tx.execute(_REPLACE, row)
    tx.execute(_ADD, row | dict(zip(("name", "description", "condition"), said, strict=True)))


def _end_memberships(tx: Connection, workspace: int, segment: str, at: Cause) -> None:
    """Let everybody leave."""
    asked = {"workspace": workspace, "segment": segment, "at": at.at, "position": at.position}
    tx.execute(_END, asked)
