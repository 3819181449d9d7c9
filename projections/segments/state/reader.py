"""Reads what is kept of people: set by set, whatever the size of a batch."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, select

from domain.evaluation.engine import Membership
from domain.evaluation.membership_state import Standing
from domain.evaluation.profile_context import Stream, Whose
from domain.evaluation.rule_runs import Run
from domain.evaluation.segment_index import Rules
from domain.evaluation.summaries import Remembered
from projections.kit.arrays import Uuids
from projections.kit.driver import cursor, pipeline
from projections.segments.backfill.lazy import NOTHING, recall
from projections.segments.backfill.sql import Filled
from projections.segments.state import rule_runs
from projections.segments.tables import member, memory, person, stream, trigger

AT_ONCE = 5_000
"""Persons who are looked at together."""

_STREAMS = f"""
SELECT stream, person, kind, guessed, demoted_at, first_at, met_by FROM {stream}
WHERE workspace = %(workspace)s AND person IN (
    SELECT person FROM {stream} WHERE workspace = %(workspace)s AND stream = ANY(%(streams)b)
    UNION
    SELECT unnest(%(persons)b::uuid[])
)
"""

_MEMORIES = f"""
SELECT known.* FROM unnest(%b::uuid[]) AS asked (stream) CROSS JOIN LATERAL (
    SELECT stream, values, upto FROM {memory} WHERE workspace = %s AND stream = asked.stream OFFSET 0
) AS known
"""

_PERSONS = f"""
SELECT known.* FROM unnest(%b::uuid[]) AS asked (person) CROSS JOIN LATERAL (
    SELECT person, inside, due FROM {person} WHERE workspace = %s AND person = asked.person OFFSET 0
) AS known
"""

_INSIDE = f"""
SELECT known.*, NULL AS left_at FROM {member} AS known
JOIN unnest(%(segments)s::text[], %(entered)s::bigint[]) AS asked (segment, entered_at)
    USING (segment, entered_at)
WHERE workspace = %(workspace)s AND person = %(person)s
"""

_EVERYBODY = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %s"

_NEXT_DUE = f"""
SELECT it.workspace, least(
    (SELECT min(due) FROM {person} WHERE workspace = it.workspace AND due IS NOT NULL),
    (SELECT min(due) FROM {trigger} WHERE workspace = it.workspace AND due IS NOT NULL)
)
FROM unnest(%(workspaces)s::integer[]) AS it (workspace)
"""

_DUE = f"""
SELECT person FROM {person} WHERE workspace = %(workspace)s AND due <= %(until)s
UNION SELECT theirs.person FROM {trigger} AS waiting JOIN {stream} AS theirs USING (workspace, stream)
    WHERE workspace = %(workspace)s AND waiting.due <= %(until)s
"""

PAIR = 16
"""Bytes of a segment in `person.inside`."""

_memories = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode


class Kept(NamedTuple):
    """What is kept of some persons before anything happens to them."""

    streams: Mapping[UUID, Stream]
    standings: Mapping[UUID, Standing]
    inside: Mapping[UUID, bytes]
    """As `person.inside` has it."""

    remembered: Collection[UUID]
    """Those of the streams that have a row of `memory`."""

    runs: Mapping[UUID, list[Run]]
    """What waits in the name of each stream."""


def in_order(ids: Iterable[UUID]) -> list[UUID]:
    """Return ids in their order: by their numbers, for two UUIDs are compared in Python."""
    return sorted(ids, key=attrgetter("int"))


def next_due(tx: Connection, workspaces: Sequence[int]) -> Mapping[int, int | None]:
    """Return when the next answer may change by itself in each workspace."""
    return dict(map(tuple, tx.exec_driver_sql(_NEXT_DUE, {"workspaces": list(workspaces)})))


def persons_due(tx: Connection, workspace: int, until: int) -> Sequence[UUID]:
    """Return for whom an answer may change by itself, or a rule goes on, by that instant."""
    found = tx.exec_driver_sql(_DUE, {"workspace": workspace, "until": until})
    return in_order(found.scalars())


def everybody(tx: Connection, workspace: int) -> Sequence[UUID]:
    """Return all persons of a workspace."""
    return in_order(tx.exec_driver_sql(_EVERYBODY, (workspace,)).scalars())


def streams_of(
    tx: Connection, workspace: int, streams: Collection[UUID], persons: Collection[UUID]
) -> dict[UUID, Stream]:
    """Return these streams as far as they are known, with all others of their persons, and of these."""
    asked = {"workspace": workspace, "streams": Uuids(streams), "persons": Uuids(persons)}
    with cursor(tx) as ask:
        rows = ask.execute(_STREAMS, asked).fetchall()
    return {id_: Stream(Whose(*it), first_at, None, met_by) for id_, *it, first_at, met_by in rows}


def load(
    tx: Connection,
    workspace: int,
    rules: Rules,
    streams: Mapping[UUID, Stream],
    looked: Filled = NOTHING,
    *,
    only: Collection[str] | None = None,
) -> Kept:
    """Fill in what is remembered of streams, and return it with what is kept of their persons.

    ``looked``, ``only`` and TimelineBehind, which it raises: see `recalling.recall`.
    """
    persons = Uuids({it.whose.person for it in streams.values()})
    remembered: set[UUID] = set()
    standings, kept = dict[UUID, Standing](), dict[UUID, bytes]()
    with pipeline(tx), cursor(tx) as ask, cursor(tx) as ask_too:
        ask.execute(_MEMORIES, (Uuids(streams), workspace))
        ask_too.execute(_PERSONS, (persons, workspace))
        for id_, values, upto in ask.fetchall():
            known = streams[id_]
            known.memory, known.upto = unpacked(rules, values), upto
            remembered.add(id_)
        for id_, inside, due in ask_too.fetchall():
            found = places(rules, inside)
            standing = standings[id_] = Standing(found, due)
            standing.stale, kept[id_] = len(found) < len(inside) // PAIR, inside
    recall(tx, workspace, rules, streams, looked, only=only)
    waiting = rule_runs.waiting(tx, workspace, list(streams)) if rules.effective else {}
    return Kept(streams, standings, kept, remembered, waiting)


def unpacked(rules: Rules, values: bytes) -> Remembered:
    """Return what is remembered of a stream, without what nobody asks for any more."""
    keys, stored = rules.numbered.keys, _memories(values)
    if not stored.keys() <= keys.keys():
        stored = {it: raw for it, raw in stored.items() if it in keys}
    return Remembered(stored=stored, numbered=rules.numbered)


def places(rules: Rules, inside: bytes) -> dict[int, int]:
    """Return the places of the segments that somebody is in, and when they entered each, from `person.inside`.

    Without those that are no more.
    """
    numbers, known = struct.unpack(f">{len(inside) // 8}q", inside), rules.places
    found: dict[Any, int] = dict(zip(map(known.get, numbers[::2]), numbers[1::2], strict=True))
    found.pop(None, None)
    return found


def inside(tx: Connection, workspace: int, rules: Rules, id_: UUID) -> Sequence[Row[Any]]:
    """Return the rows of `member` of the segments that a person is in."""
    mine = (person.c.workspace == workspace, person.c.person == id_)
    found = places(rules, tx.execute(select(person.c.inside).where(*mine)).scalar() or b"")
    asked = {
        "workspace": workspace,
        "person": id_,
        "segments": [rules.rules[it].segment for it in found],
        "entered": list(found.values()),
    }
    return tx.exec_driver_sql(_INSIDE, asked).all()


def membership(rules: Rules, kept: Kept) -> Membership:
    """Return what is kept, for something to happen."""
    runs = chain.from_iterable(kept.runs.values())
    return Membership(rules, kept.streams, kept.standings, runs)


def some(persons: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Give persons out as many at a time as are looked at together."""
    persons = iter(persons)
    while found := list(islice(persons, AT_ONCE)):
        yield found
