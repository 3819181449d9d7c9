"""Who would be in a segment that nobody has made yet, at any instant, over all that is known by now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain import conditions
from domain.conditions import Condition, Value
from domain.conditions.groups import Group
from domain.evaluation.profile_context import KnownOf, Stream, Whose
from domain.evaluation.segment_index import Rule, Rules
from domain.evaluation.summaries import Remembered
from domain.segments.computed_attribute import all_resolved
from domain.segments.segment import references
from projections.kit.driver import cursor
from projections.segments.backfill import sql
from projections.segments.definitions.segments import in_effect
from projections.segments.tables import member, stay, stream

SAMPLE = 10

_STREAMS = f"""
SELECT stream, person, kind, guessed, demoted_at, CASE WHEN first_at <= %s THEN first_at END
FROM {stream} WHERE workspace = %s
"""

_INSIDE = f"""
SELECT segment, person FROM {member}
WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s) AND entered_at <= %(clock)s
UNION ALL SELECT segment, person FROM {stay}
WHERE workspace = %(workspace)s AND segment = ANY(%(segments)s) AND entered_at <= %(clock)s
    AND left_at > %(clock)s
"""


class Preview(NamedTuple):
    """What a condition comes to."""

    people: int
    sample: Sequence[UUID]
    """Some of them."""

    conditions: Mapping[str, int]
    """How many each part holds of, by its JSON pointer."""


def preview(
    tx: Connection, workspace: int, condition: Condition, clock: int, position: int
) -> Preview:
    """Return who meets a condition at the clock, of the events up to a position of the ledger.

    Nothing after the clock counts, and nobody who was not seen by then.  Raises TimelineBehind,
    and InvalidRequest for a name that stands for nothing.
    """
    condition = conditions.resolved(condition, in_effect(tx, workspace).values)
    rules = Rules([Rule("", condition)])
    sql.check(tx, workspace, position)
    recalled = sql.recall(
        tx, workspace, list(rules.memories.values()), position=position, now=clock, until=clock
    )
    inside = _inside(tx, workspace, sorted(references(condition)), clock)
    asked = condition.asker()
    parts = {path: part.asker() for path, part in _parts(condition, "")}
    counts = dict.fromkeys(parts, 0)
    people, sample = 0, list[UUID]()
    for person, streams in _persons(tx, workspace, clock, recalled):
        known = KnownOf(rules, streams, inside[person].__contains__).known
        if asked(known, clock)[0]:
            people += 1
            if len(sample) < SAMPLE:
                sample.append(person)
        for path, part in parts.items():
            counts[path] += part(known, clock)[0]
    return Preview(people, sample, counts)


class Values(NamedTuple):
    """What a computed attribute comes to."""

    people: int
    """How many have a value other than 0."""

    sample: Mapping[UUID, Any]
    """The values of some of them."""


def values_at(tx: Connection, workspace: int, value: Value, clock: int, position: int) -> Values:
    """Return what a computed attribute is at the clock, of the events up to a position of the ledger.

    Raises TimelineBehind, and InvalidRequest for a name that stands for nothing.
    """
    asked = all_resolved({**in_effect(tx, workspace).values, "": value})[""]
    rules = Rules((), values={"": asked})
    sql.check(tx, workspace, position)
    recalled = sql.recall(
        tx, workspace, list(rules.memories.values()), position=position, now=clock, until=clock
    )
    people, sample = 0, dict[UUID, Any]()
    for person, streams in _persons(tx, workspace, clock, recalled):
        known = KnownOf(rules, streams, lambda _: False).known
        if found := asked.result(known, clock):
            people += 1
            if len(sample) < SAMPLE:
                sample[person] = found
    return Values(people, sample)


def _parts(condition: Condition, path: str) -> Iterator[tuple[str, Condition]]:
    for at, part in enumerate(condition.parts):
        place = f"{path}/{condition.KEY}/{at}" if isinstance(condition, Group) else f"{path}/{at}"
        yield place, part
        yield from _parts(part, place)


def _persons(
    tx: Connection, workspace: int, clock: int, recalled: Mapping[str, Mapping[UUID, object]]
) -> Iterator[tuple[UUID, Sequence[Stream]]]:
    """Give out those who were seen by the clock, with the streams that are theirs by now."""
    by_person: dict[UUID, list[tuple[UUID, Stream]]] = defaultdict(list)
    with cursor(tx) as ask:
        for id_, *whose, first_at in ask.execute(_STREAMS, (clock, workspace)):
            memory = {key: values[id_] for key, values in recalled.items() if id_ in values}
            by_person[whose[0]].append((id_, Stream(Whose(*whose), first_at, Remembered(memory))))
    for person, streams in sorted(by_person.items()):
        if any(it.first_at is not None for _, it in streams):
            yield person, [it for _, it in sorted(streams, key=lambda pair: pair[0])]


def _inside(
    tx: Connection, workspace: int, segments: Sequence[str], clock: int
) -> Mapping[UUID, set[str]]:
    """Return in which of the segments each person was at the clock."""
    found: dict[UUID, set[str]] = defaultdict(set)
    if segments:
        asked = {"workspace": workspace, "segments": list(segments), "clock": clock}
        for segment, person in tx.exec_driver_sql(_INSIDE, asked):
            found[person].add(segment)
    return found
