"""Previews conditions and computed attributes at any instant, before they are defined."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition, ReferencedValue, referenced_segments
from domain.evaluation.accumulator_state import AccumulatorState
from domain.evaluation.profile_context import ProfileContext, StreamOwner, StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from domain.segments.computed_attribute import resolve_all
from projections.kit.driver import binary_cursor
from projections.segments.backfill import sql
from projections.segments.definitions.index import load_segment_index
from projections.segments.tables import member, membership_interval, stream

SAMPLE_SIZE = 10

_STREAMS = f"""
SELECT stream, profile, kind, guessed, demoted_at, CASE WHEN first_event_at <= %s THEN first_event_at END
FROM {stream} WHERE workspace = %s
"""

_MEMBERSHIPS = f"""
SELECT segment, profile FROM {member}
WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s) AND entered_at <= %(clock)s
UNION ALL SELECT segment, profile FROM {membership_interval}
WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s) AND entered_at <= %(clock)s
    AND left_at > %(clock)s
"""


class ConditionCounts(NamedTuple):
    """How many profiles meet a condition, and each of its parts."""

    profiles: int
    sample: Sequence[UUID]
    """Some of the profiles that meet the condition."""

    by_path: Mapping[str, int]
    """Count of profiles that meet each part, by its JSON pointer."""


def preview_condition(
    tx: Connection, workspace: int, condition: Condition, clock: int, position: int
) -> ConditionCounts:
    """Returns how many profiles meet a condition at a clock, in microseconds since 1970 UTC.

    Considers the events up to a position of the ledger that occurred by the clock, and the profiles that had
    one.  Raises TimelineBehind, and InvalidRequest for a reference to nothing.
    """
    condition = condition.resolve(load_segment_index(tx, workspace).computed_attributes)
    index = SegmentIndex.build([CompiledSegment("", condition)])
    sql.require_timeline_at(tx, workspace, position)
    values = sql.aggregate_history(
        tx, workspace, list(index.accumulators.values()), position=position, now=clock, until=clock
    )
    memberships = _memberships_at(tx, workspace, sorted(referenced_segments(condition)), clock)
    evaluate = condition.compile()
    parts = {path: part.compile() for path, part in _walk_parts(condition, "")}
    counts = dict.fromkeys(parts, 0)
    count, sample = 0, list[UUID]()
    for profile, streams in _streams_by_profile(tx, workspace, clock, values):
        in_segment = memberships[profile].__contains__
        evaluation_input = ProfileContext(index, streams, in_segment).evaluation_input
        if evaluate(evaluation_input, clock)[0]:
            count += 1
            if len(sample) < SAMPLE_SIZE:
                sample.append(profile)
        for path, evaluate_part in parts.items():
            counts[path] += evaluate_part(evaluation_input, clock)[0]
    return ConditionCounts(count, sample, counts)


class ComputedValueSample(NamedTuple):
    """How many profiles have a value of a computed attribute, with examples."""

    profiles: int
    """Profiles with a value other than 0."""

    sample: Mapping[UUID, Any]
    """Values of some of them."""


def preview_computed_value(
    tx: Connection, workspace: int, value: ReferencedValue, clock: int, position: int
) -> ComputedValueSample:
    """Returns the values of a computed attribute at a clock, in microseconds since 1970 UTC.

    Considers the same events and profiles as `preview_condition`, and raises the same errors.
    """
    attributes = load_segment_index(tx, workspace).computed_attributes
    resolved = resolve_all({**attributes, "": value})[""]
    index = SegmentIndex.build((), computed_attributes={"": resolved})
    sql.require_timeline_at(tx, workspace, position)
    values = sql.aggregate_history(
        tx, workspace, list(index.accumulators.values()), position=position, now=clock, until=clock
    )
    count, sample = 0, dict[UUID, Any]()
    for profile, streams in _streams_by_profile(tx, workspace, clock, values):
        evaluation_input = ProfileContext(index, streams, lambda _segment: False).evaluation_input
        if result := resolved.result(evaluation_input, clock):
            count += 1
            if len(sample) < SAMPLE_SIZE:
                sample[profile] = result
    return ComputedValueSample(count, sample)


def _walk_parts(condition: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    for part_path, part in zip(condition.part_pointers(path), condition.parts, strict=True):
        yield part_path, part
        yield from _walk_parts(part, part_path)


def _streams_by_profile(
    tx: Connection, workspace: int, clock: int, values_by_key: Mapping[str, Mapping[UUID, object]]
) -> Iterator[tuple[UUID, Sequence[StreamState]]]:
    """Yields the profiles that had an event by the clock, with all streams that are theirs now."""
    by_profile: dict[UUID, list[tuple[UUID, StreamState]]] = defaultdict(list)
    with binary_cursor(tx) as cursor:
        for id_, *owner, first_event_at in cursor.execute(_STREAMS, (clock, workspace)):
            stored = {key: values[id_] for key, values in values_by_key.items() if id_ in values}
            state = StreamState(StreamOwner(*owner), first_event_at, AccumulatorState(stored))
            by_profile[state.owner.profile_id].append((id_, state))
    for profile, streams in sorted(by_profile.items()):
        if any(state.first_event_at is not None for _, state in streams):
            yield profile, [state for _, state in sorted(streams, key=lambda pair: pair[0])]


def _memberships_at(
    tx: Connection, workspace: int, segments: Sequence[str], clock: int
) -> Mapping[UUID, set[str]]:
    """Returns which of the segments each profile was in at the clock; a defaultdict."""
    memberships: dict[UUID, set[str]] = defaultdict(set)
    if segments:
        params = {"workspace": workspace, "segments": list(segments), "clock": clock}
        for segment, profile in tx.exec_driver_sql(_MEMBERSHIPS, params):
            memberships[profile].add(segment)
    return memberships
