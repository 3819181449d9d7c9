"""Who would be in a segment that nobody has made yet, at any instant, over all that is known by now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain import conditions
from domain.conditions import Condition, ReferencedValue
from domain.conditions.groups import ConditionGroup
from domain.evaluation.accumulators import AccumulatorState
from domain.evaluation.profile_context import ProfileContext, StreamOwner, StreamState
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex
from domain.segments.computed_attribute import resolve_all
from domain.segments.segment import referenced_segments
from projections.kit.driver import binary_cursor
from projections.segments.backfill import sql
from projections.segments.definitions.segments import load_segment_index
from projections.segments.tables import member, membership_interval, stream

SAMPLE_SIZE = 10

_STREAMS = f"""
SELECT stream, person, kind, guessed, demoted_at, CASE WHEN first_at <= %s THEN first_at END
FROM {stream} WHERE workspace = %s
"""

_MEMBERSHIPS = f"""
SELECT segment, person FROM {member}
WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s) AND entered_at <= %(clock)s
UNION ALL SELECT segment, person FROM {membership_interval}
WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s) AND entered_at <= %(clock)s
    AND left_at > %(clock)s
"""


class ConditionCounts(NamedTuple):
    """What a condition comes to."""

    profiles: int
    sample: Sequence[UUID]
    """Some of them."""

    by_path: Mapping[str, int]
    """How many each part holds of, by its JSON pointer."""


def preview_condition(
    tx: Connection, workspace: int, condition: Condition, clock: int, position: int
) -> ConditionCounts:
    """Return who meets a condition at the clock, of the events up to a position of the ledger.

    Nothing after the clock counts, and nobody who was not seen by then.  Raises TimelineBehind,
    and InvalidRequest for a name that stands for nothing.
    """
    condition = conditions.resolve_references(
        condition, load_segment_index(tx, workspace).computed_attributes
    )
    rules = SegmentIndex([CompiledSegment("", condition)])
    sql.require_timeline_at(tx, workspace, position)
    recalled = sql.aggregate_history(
        tx, workspace, list(rules.accumulators.values()), position=position, now=clock, until=clock
    )
    inside = _memberships_at(tx, workspace, sorted(referenced_segments(condition)), clock)
    asked = condition.compile()
    parts = {path: part.compile() for path, part in _walk_parts(condition, "")}
    counts = dict.fromkeys(parts, 0)
    people, sample = 0, list[UUID]()
    for person, streams in _streams_by_profile(tx, workspace, clock, recalled):
        known = ProfileContext(rules, streams, inside[person].__contains__).evaluation_input
        if asked(known, clock)[0]:
            people += 1
            if len(sample) < SAMPLE_SIZE:
                sample.append(person)
        for path, part in parts.items():
            counts[path] += part(known, clock)[0]
    return ConditionCounts(people, sample, counts)


class ComputedValueSample(NamedTuple):
    """What a computed attribute comes to."""

    profiles: int
    """How many have a value other than 0."""

    sample: Mapping[UUID, Any]
    """The values of some of them."""


def preview_computed_value(
    tx: Connection, workspace: int, value: ReferencedValue, clock: int, position: int
) -> ComputedValueSample:
    """Return what a computed attribute is at the clock, of the events up to a position of the ledger.

    Raises TimelineBehind, and InvalidRequest for a name that stands for nothing.
    """
    asked = resolve_all({**load_segment_index(tx, workspace).computed_attributes, "": value})[""]
    rules = SegmentIndex((), computed_attributes={"": asked})
    sql.require_timeline_at(tx, workspace, position)
    recalled = sql.aggregate_history(
        tx, workspace, list(rules.accumulators.values()), position=position, now=clock, until=clock
    )
    people, sample = 0, dict[UUID, Any]()
    for person, streams in _streams_by_profile(tx, workspace, clock, recalled):
        known = ProfileContext(rules, streams, lambda _: False).evaluation_input
        if found := asked.result(known, clock):
            people += 1
            if len(sample) < SAMPLE_SIZE:
                sample[person] = found
    return ComputedValueSample(people, sample)


def _walk_parts(condition: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    for at, part in enumerate(condition.parts):
        place = (
            f"{path}/{condition.KEY}/{at}"
            if isinstance(condition, ConditionGroup)
            else f"{path}/{at}"
        )
        yield place, part
        yield from _walk_parts(part, place)


def _streams_by_profile(
    tx: Connection, workspace: int, clock: int, values_by_key: Mapping[str, Mapping[UUID, object]]
) -> Iterator[tuple[UUID, Sequence[StreamState]]]:
    """Give out those who were seen by the clock, with the streams that are theirs by now."""
    by_person: dict[UUID, list[tuple[UUID, StreamState]]] = defaultdict(list)
    with binary_cursor(tx) as ask:
        for id_, *whose, first_at in ask.execute(_STREAMS, (clock, workspace)):
            memory = {key: values[id_] for key, values in values_by_key.items() if id_ in values}
            by_person[whose[0]].append(
                (id_, StreamState(StreamOwner(*whose), first_at, AccumulatorState(memory)))
            )
    for person, streams in sorted(by_person.items()):
        if any(it.first_event_at is not None for _, it in streams):
            yield person, [it for _, it in sorted(streams, key=lambda pair: pair[0])]


def _memberships_at(
    tx: Connection, workspace: int, segments: Sequence[str], clock: int
) -> Mapping[UUID, set[str]]:
    """Return in which of the segments each person was at the clock."""
    found: dict[UUID, set[str]] = defaultdict(set)
    if segments:
        asked = {"workspace": workspace, "segments": list(segments), "clock": clock}
        for segment, person in tx.exec_driver_sql(_MEMBERSHIPS, asked):
            found[person].add(segment)
    return found
