"""The segment index of a workspace: loads it, caches it, refreshes it after a definition."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, Engine, text

from domain import conditions
from domain.conditions import Condition, ReferencedValue
from domain.conditions.profile_facts import ManualListCondition
from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.registrations import Registration
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from domain.events.recorded import RecordedEvent
from projections.segments.definitions.active_rules import load_active_rules
from projections.segments.definitions.attributes import load_active_attributes
from projections.segments.definitions.definition_change import DefinitionChange
from projections.segments.tables import (
    accumulator_registration,
    computed_attribute,
    rule_version,
    segment_version,
)

MAX_ACCUMULATORS = 100_000
"""More than one definition can require: a condition requires fewer accumulators than it has bytes."""

_LAST_POSITION = f"""
SELECT coalesce(greatest(
    (SELECT max(position) FROM {segment_version} WHERE workspace = %(workspace)s),
    (SELECT max(position) FROM {computed_attribute} WHERE workspace = %(workspace)s),
    (SELECT max(position) FROM {rule_version} WHERE workspace = %(workspace)s)
), 0)
"""

_ACTIVE_SEGMENTS = f"""
SELECT segment, condition, registered_since FROM {segment_version}
WHERE workspace = %s AND replaced_at_position IS NULL AND NOT archived
"""

_REGISTRATIONS = f"""
SELECT key, number, since_at, since_position FROM {accumulator_registration} WHERE workspace = %s
"""

_REGISTER = text(f"""
INSERT INTO {accumulator_registration} VALUES (:workspace, :number, :key, :since_at, :since_position)
""")

_UNREGISTER = text(
    f"DELETE FROM {accumulator_registration} WHERE workspace = :workspace AND number = ANY(:numbers)"
)


class _CachedIndex(NamedTuple):
    last_position: int
    segment_index: SegmentIndex


_index_cache: WeakKeyDictionary[Engine, dict[int, _CachedIndex]] = WeakKeyDictionary()


def load_segment_index(tx: Connection, workspace: int) -> SegmentIndex:
    """Returns the current segments, computed attributes and rules of a workspace, compiled."""
    last = int(tx.exec_driver_sql(_LAST_POSITION, {"workspace": workspace}).scalar_one())
    by_workspace = _index_cache.setdefault(tx.engine, {})
    cached = by_workspace.get(workspace)
    if cached is None or cached.last_position != last:
        rows = tx.exec_driver_sql(_REGISTRATIONS, (workspace,))
        registrations = {
            key: Registration(number, Cause(since_at, since_position))
            for key, number, since_at, since_position in rows
        }
        index = _build_index(tx, workspace, registrations)
        cached = by_workspace[workspace] = _CachedIndex(last, index)
    return cached.segment_index


def refresh_segment_index(
    tx: Connection, workspace: int, before: SegmentIndex, recorded: RecordedEvent
) -> DefinitionChange:
    """Builds and caches the index that is current after a definition was saved.

    ``before`` is the index before it, ``recorded`` its event.
    """
    cause = Cause(to_micros(recorded.recorded_at), recorded.position)
    built = _build_index(tx, workspace)
    after = built.with_registrations(_register_accumulators(tx, workspace, before, built, cause))
    _index_cache[tx.engine][workspace] = _CachedIndex(recorded.position, after)
    return DefinitionChange(after, cause, _new_accumulators(before, after))


def _build_index(
    tx: Connection, workspace: int, registrations: Mapping[str, Registration] = {}
) -> SegmentIndex:
    attributes = load_active_attributes(tx, workspace)
    rows = tx.exec_driver_sql(_ACTIVE_SEGMENTS, (workspace,)).all()
    segments = (
        CompiledSegment(segment, _decode_condition(segment, stored, attributes), since)
        for segment, stored, since in rows
    )
    return SegmentIndex.build(segments, registrations, attributes, load_active_rules(tx, workspace))


def _decode_condition(
    segment: str, stored: bytes, attributes: Mapping[str, ReferencedValue]
) -> Condition:
    """Returns the condition of a segment; one without a condition is a manual list."""
    return _parse_condition(stored).resolve(attributes) if stored else ManualListCondition(segment)


@lru_cache(maxsize=4_096)
def _parse_condition(stored: bytes) -> Condition:
    return conditions.parse_condition(msgspec.json.decode(stored), allow_references=True)


def _new_accumulators(before: SegmentIndex, after: SegmentIndex) -> list[str]:
    return sorted(after.accumulators.keys() - before.accumulators.keys())


def _register_accumulators(
    tx: Connection, workspace: int, before: SegmentIndex, after: SegmentIndex, cause: Cause
) -> Mapping[str, Registration]:
    """Registers the accumulators required from now on, removes the others; returns all of them."""
    removed = before.accumulators.keys() - after.accumulators.keys()
    added = {
        key: Registration(cause.position * MAX_ACCUMULATORS + offset, cause)
        for offset, key in enumerate(_new_accumulators(before, after))
    }
    if removed:
        numbers = sorted(before.registrations.by_key[key].stored_id for key in removed)
        tx.execute(_UNREGISTER, {"workspace": workspace, "numbers": numbers})
    if added:
        rows = [
            {
                "workspace": workspace,
                "number": registration.stored_id,
                "key": key,
                "since_at": cause.at,
                "since_position": cause.position,
            }
            for key, registration in added.items()
        ]
        tx.execute(_REGISTER, rows)
    kept = {key: entry for key, entry in before.registrations.by_key.items() if key not in removed}
    return kept | added
