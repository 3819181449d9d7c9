"""Writes what has become of people: set by set, and only what is different from before."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.evaluation.engine import Membership
from domain.evaluation.membership_state import Standing
from domain.evaluation.profile_context import Stream
from domain.evaluation.segment_index import Rules
from domain.evaluation.summaries import Value
from projections.kit.arrays import packed as packed_array
from projections.kit.driver import cursor, each, insert
from projections.segments.state import reader, rule_runs
from projections.segments.state.reader import Kept
from projections.segments.tables import member, memory, person, stay, stream

_DROP_STREAMS = f"DELETE FROM {stream} WHERE stream = ANY(%b) AND workspace = %s"

_CHANGE_MEMORIES = f"""
UPDATE {memory} AS known SET values = changed.values, upto = changed.upto
FROM unnest(%b::uuid[], %b::bytea[], %b::bigint[]) AS changed (stream, values, upto)
WHERE known.workspace = %s AND known.stream = changed.stream
"""

_DROP_MEMORIES = f"DELETE FROM {memory} WHERE stream = ANY(%b) AND workspace = %s"

_CHANGE_PERSONS = f"""
UPDATE {person} AS known SET inside = changed.inside, due = changed.due
FROM unnest(%b::uuid[], %b::bytea[], %b::bigint[]) AS changed (person, inside, due)
WHERE known.workspace = %s AND known.person = changed.person
"""

_DROP_PERSONS = f"DELETE FROM {person} WHERE person = ANY(%b) AND workspace = %s"

_END_STAYS = f"""
WITH ended AS (
    DELETE FROM {member} AS known
    USING unnest(%b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[])
        AS ended (segment, person, entered_at, left_at, left_by)
    WHERE known.workspace = %s AND known.segment = ended.segment
        AND known.entered_at = ended.entered_at AND known.person = ended.person
    RETURNING known.*, ended.left_at, ended.left_by
)
INSERT INTO {stay} SELECT * FROM ended
"""

# Mostly somebody enters several at once: who and when is said once for all of them.
_BEGIN_STAYS = f"""
INSERT INTO {member} SELECT %s, segment, persons[number], entered_at[number], entered_by[number]
FROM (SELECT %b::uuid[], %b::bigint[], %b::bigint[]) AS entries (persons, entered_at, entered_by),
    unnest(%b::text[], %b::bigint[]) AS entered (segment, number)
"""

_encode = msgspec.msgpack.Encoder().encode
NOTHING = _encode({})
"""`memory.values` of whom nothing is remembered, which was looked up."""


def change(
    tx: Connection,
    workspace: int,
    rules: Rules,
    persons: Iterable[UUID],
    happens: Callable[[Membership], None],
) -> None:
    """Have something happen to persons, some at a time, and write what becomes of them."""
    for some in reader.some(persons):
        kept = reader.load(tx, workspace, rules, reader.streams_of(tx, workspace, (), some))
        people = reader.membership(rules, kept)
        happens(people)
        save(tx, workspace, rules, kept, people)


def save(tx: Connection, workspace: int, rules: Rules, before: Kept, after: Membership) -> None:
    """Write what is different from before."""
    _save_streams(tx, workspace, after)
    _save_memories(tx, workspace, rules, before.remembered, after)
    _save_stays(tx, workspace, rules, after)
    _save_persons(tx, workspace, rules, before, after)
    rule_runs.save(tx, workspace, rules.effective, before.runs, after.acting.changed.values())


def _save_streams(tx: Connection, workspace: int, after: Membership) -> None:
    rows = [
        (workspace, id_, *it.whose, it.first_at, it.met_by)
        for id_, it in after.streams.items()
        if it.changed
    ]
    if rows:
        each(tx, _DROP_STREAMS, workspace, [(row[1],) for row in rows])
        insert(tx, stream, rows)


def _save_memories(
    tx: Connection, workspace: int, rules: Rules, before: Collection[UUID], after: Membership
) -> None:
    new, changed, gone = [], [], []
    met = (person.streams.items() for person in after.persons.values() if person.met)
    for id_, it in chain.from_iterable(met):
        if it.touched or it.recalled:
            values = packed(rules, it)
            if values == NOTHING and it.upto == it.met_by:
                gone += [(id_,)] if id_ in before else []
            elif id_ in before:
                changed.append((id_, values, it.upto))
            else:
                new.append((workspace, id_, values, it.upto))
    each(tx, _CHANGE_MEMORIES, workspace, changed)
    each(tx, _DROP_MEMORIES, workspace, gone)
    insert(tx, memory, new)


def packed(rules: Rules, stream: Stream) -> bytes:
    """Return all that is remembered of a stream, in bytes."""
    (memories, numbers, _), memory = rules.numbered, stream.memory
    values, in_order = dict[int, Value](memory.stored), True
    for key, at in stream.touched.items():
        number, value = numbers[key], memories[key].kept(memory[key], at)
        if value is None:
            values.pop(number, None)
        else:
            in_order &= number in values  # as all that was stored is
            values[number] = value
    return _encode(values if in_order else {it: values[it] for it in sorted(values)})


def _save_stays(tx: Connection, workspace: int, rules: Rules, after: Membership) -> None:
    old, over = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for segment, person_, entered, left in after.ended:
        if isinstance(entered, int):
            old.append((segment, person_, entered, *left))
        else:
            over.append((workspace, segment, person_, *entered, *left))
    each(tx, _END_STAYS, workspace, old)  # before they come in again, perhaps at the same instant
    insert(tx, stay, over)
    _begin_stays(tx, workspace, rules, after)


def _begin_stays(tx: Connection, workspace: int, rules: Rules, after: Membership) -> None:
    segments = [it.segment for it in rules.rules]
    entries, entered, numbers = list[tuple[UUID, int, int]](), list[str](), list[int]()
    for id_, standing in _changed(after):
        at = None
        for place, since in standing.entered.items():
            if since is not at:
                entries.append((id_, *since))
                at = since
            entered.append(segments[place])
            numbers.append(len(entries))
    if entered:
        columns = [*zip(*entries, strict=True), entered, numbers]
        with cursor(tx) as ask:
            ask.execute(_BEGIN_STAYS, (workspace, *map(packed_array, columns)))


def _save_persons(
    tx: Connection, workspace: int, rules: Rules, before: Kept, after: Membership
) -> None:
    new, changed, gone = [], [], []
    for id_, standing in _changed(after):
        is_known = id_ in before.standings
        if standing.inside or standing.due is not None:
            inside = _inside(rules, standing) if standing.moved else before.inside.get(id_, b"")
            if is_known:
                changed.append((id_, inside, standing.due))
            else:
                new.append((workspace, id_, inside, standing.due))
        elif is_known:
            gone.append((id_,))
    each(tx, _CHANGE_PERSONS, workspace, changed)
    each(tx, _DROP_PERSONS, workspace, gone)
    insert(tx, person, new)


def _inside(rules: Rules, standing: Standing) -> bytes:
    since = map(rules.numbers.__getitem__, standing.inside)
    pairs = chain.from_iterable(zip(since, standing.inside.values(), strict=True))
    return struct.pack(f">{2 * len(standing.inside)}q", *pairs)


def _changed(after: Membership) -> Iterator[tuple[UUID, Standing]]:
    return ((it.id, it.standing) for it in after.persons.values() if it.standing.changed)
