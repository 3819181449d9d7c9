"""Reads and writes what is kept of households: set by set, whatever the size of a batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection as Driver
from psycopg import Cursor
from sqlalchemy import Connection

from domain.known import Stream, Whose
from domain.membership import Household, Since, Stay
from domain.rules import Rules
from projections.copying import copy
from projections.segments.tables import memory, stay, stream, timer

_STREAMS = f"""
SELECT stream, person, kind, guessed, demoted_at, first_at FROM {stream}
WHERE workspace = %(workspace)s AND person IN (
    SELECT person FROM {stream} WHERE workspace = %(workspace)s AND stream = ANY(%(streams)s)
    UNION
    SELECT unnest(%(persons)s::uuid[])
)
"""

_MEMORIES = f"""
SELECT stream, memory, value FROM {memory}
WHERE workspace = %s AND stream = ANY(%s) AND memory = ANY(%s)
"""

_STAYS = f"""
SELECT segment, person, entered_at, entered_by FROM {stay}
WHERE workspace = %s AND person = ANY(%s) AND left_at IS NULL
"""

_TIMERS = f"SELECT person, segment, due FROM {timer} WHERE workspace = %s AND person = ANY(%s)"

_NEXT_DUE = f"SELECT min(due) FROM {timer} WHERE workspace = %s"

_DUE = f"SELECT DISTINCT person FROM {timer} WHERE workspace = %s AND due <= %s"

_DROP_STREAMS = f"DELETE FROM {stream} WHERE workspace = %s AND stream = ANY(%s)"

_DROP_MEMORIES = f"""
DELETE FROM {memory} AS known
USING unnest(%b::uuid[], %b::bigint[]) AS gone (stream, memory)
WHERE known.workspace = %s AND known.stream = gone.stream AND known.memory = gone.memory
"""

_END_STAYS = f"""
UPDATE {stay} AS known SET left_at = ended.left_at, left_by = ended.left_by
FROM unnest(%b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[])
    AS ended (segment, person, entered_at, entered_by, left_at, left_by)
WHERE known.workspace = %s AND known.segment = ended.segment AND known.person = ended.person
    AND known.entered_at = ended.entered_at AND known.entered_by = ended.entered_by
"""

_DROP_TIMERS = f"""
DELETE FROM {timer} AS known USING unnest(%b::uuid[], %b::text[]) AS gone (person, segment)
WHERE known.workspace = %s AND known.person = gone.person AND known.segment = gone.segment
"""

_FORGET_MEMORIES = f"DELETE FROM {memory} WHERE workspace = %s AND memory = ANY(%s)"


@lru_cache(maxsize=65_536)
def memory_id(key: str) -> int:
    """Return the number that stands for a memory's key."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)


class Kept(NamedTuple):
    """What is kept of some persons before anything happens to them."""

    streams: Mapping[UUID, Stream]
    stays: Mapping[UUID, list[Stay]]
    timers: Mapping[UUID, dict[tuple[UUID, str], int]]


def cursor(tx: Connection) -> Cursor[Any]:
    """Return a cursor that speaks binary."""
    driver = tx.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver.cursor(binary=True)


def next_due(tx: Connection, workspace: int) -> int | None:
    """Return when the next answer may change by itself."""
    due: int | None = tx.exec_driver_sql(_NEXT_DUE, (workspace,)).scalar()
    return due


def persons_due(tx: Connection, workspace: int, until: int) -> Sequence[UUID]:
    """Return for whom an answer may change by itself by that instant."""
    found = tx.exec_driver_sql(_DUE, (workspace, until))
    return sorted(found.scalars())


def streams_of(
    tx: Connection, workspace: int, streams: Collection[UUID], persons: Collection[UUID]
) -> dict[UUID, Stream]:
    """Return these streams as far as they are known, with all others of their persons, and of these."""
    asked = {"workspace": workspace, "streams": list(streams), "persons": list(persons)}
    with cursor(tx) as ask:
        rows = ask.execute(_STREAMS, asked).fetchall()
    return {id_: Stream(Whose(*whose), first_at) for id_, *whose, first_at in rows}


def load(tx: Connection, workspace: int, rules: Rules, streams: Mapping[UUID, Stream]) -> Kept:
    """Fill in what is remembered of streams, and return it with what is kept of their persons."""
    persons = sorted({it.whose.person for it in streams.values()})
    keys = {memory_id(key): key for key in rules.memories}
    stays: dict[UUID, list[Stay]] = defaultdict(list)
    timers: dict[UUID, dict[tuple[UUID, str], int]] = defaultdict(dict)
    if not rules:
        return Kept(streams, stays, timers)
    with cursor(tx) as ask:
        known = ask.execute(_MEMORIES, (workspace, list(streams), list(keys)))
        for id_, number, value in known.fetchall():
            key = keys[number]
            streams[id_].memory[key] = rules.memories[key].decode(value)
        for segment, person, at, by in ask.execute(_STAYS, (workspace, persons)).fetchall():
            stays[person].append(Stay(segment, person, Since(at, by)))
        for person, segment, due in ask.execute(_TIMERS, (workspace, persons)).fetchall():
            timers[person][person, segment] = due
    return Kept(streams, stays, timers)


def household(rules: Rules, kept: Kept, ids: Iterable[UUID]) -> Household:
    """Return the household of these streams."""
    streams = {it: kept.streams[it] for it in ids}
    persons = {it.whose.person for it in streams.values()}
    return Household(
        rules,
        streams,
        chain.from_iterable(kept.stays.get(it, ()) for it in persons),
        {key: due for it in persons for key, due in kept.timers.get(it, {}).items()},
    )


def by_person(rules: Rules, kept: Kept) -> Mapping[UUID, Household]:
    """Return each person as a household: while nothing is said about who is who."""
    streams: dict[UUID, list[UUID]] = defaultdict(list)
    for id_, stream_ in kept.streams.items():
        streams[stream_.whose.person].append(id_)
    return {person: household(rules, kept, ids) for person, ids in sorted(streams.items())}


def forget_memories(tx: Connection, workspace: int, keys: Iterable[str]) -> None:
    """Drop what nobody asks for any more."""
    gone = sorted(map(memory_id, keys))
    if gone:
        tx.exec_driver_sql(_FORGET_MEMORIES, (workspace, gone))


def save(
    tx: Connection, workspace: int, rules: Rules, before: Kept, after: Sequence[Household]
) -> None:
    """Write what is different from before."""
    _save_streams(tx, workspace, after)
    _save_memories(tx, workspace, rules, after)
    _save_stays(tx, workspace, rules, before, after)
    _save_timers(tx, workspace, rules, before, after)


def _save_streams(tx: Connection, workspace: int, after: Sequence[Household]) -> None:
    rows = [
        (workspace, id_, *one.streams[id_].whose, one.streams[id_].first_at)
        for one in after
        for id_, key in one.touched
        if not key
    ]
    if rows:
        tx.exec_driver_sql(_DROP_STREAMS, (workspace, [row[1] for row in rows]))
        copy(tx, stream, rows)


def _save_memories(
    tx: Connection, workspace: int, rules: Rules, after: Sequence[Household]
) -> None:
    touched = [
        (id_, key, one.streams[id_].memory[key], at)
        for one in after
        for (id_, key), at in one.touched.items()
        if key
    ]
    if not touched:
        return
    gone = [(id_, memory_id(key)) for id_, key, _, _ in touched]
    _each(tx, _DROP_MEMORIES, workspace, gone)
    values = (
        (workspace, id_, memory_id(key), rules.memories[key].encode(value, at))
        for id_, key, value, at in touched
    )
    copy(tx, memory, (row for row in values if row[3] is not None))


def _save_stays(
    tx: Connection, workspace: int, rules: Rules, before: Kept, after: Sequence[Household]
) -> None:
    known = {it for each in before.stays.values() for it in each}
    ended = [it for one in after for it in one.ended]
    rows = (it for one in after for it in _stays(rules, one))
    copy(
        tx,
        stay,
        [
            *(
                (workspace, it.segment, it.person, *it.entered, None, None)
                for it in rows
                if it not in known
            ),
            *(
                (workspace, it.segment, it.person, *it.entered, *(it.left or ()))
                for it in ended
                if it._replace(left=None) not in known
            ),
        ],
    )
    old = [
        (it.segment, it.person, *it.entered, *(it.left or ()))
        for it in ended
        if it._replace(left=None) in known
    ]
    _each(tx, _END_STAYS, workspace, old)


def _stays(rules: Rules, household: Household) -> Iterator[Stay]:
    for person, places in household.stays.items():
        for place, since in places.items():
            yield Stay(rules.rules[place].segment, person, since)


def _save_timers(
    tx: Connection, workspace: int, rules: Rules, before: Kept, after: Sequence[Household]
) -> None:
    known = {key: due for each in before.timers.values() for key, due in each.items()}
    now = {
        (person, rules.rules[place].segment): due
        for one in after
        for person, places in one.timers.items()
        for place, due in places.items()
    }
    touched = {person for one in after for person in one.timers}
    gone = [key for key, due in known.items() if key[0] in touched and now.get(key) != due]
    _each(tx, _DROP_TIMERS, workspace, gone)
    copy(tx, timer, ((workspace, *key, due) for key, due in now.items() if known.get(key) != due))


def _each(tx: Connection, sql: str, workspace: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement over rows, given as one array for each column."""
    if rows:
        with cursor(tx) as ask:
            ask.execute(sql, (*(list(it) for it in zip(*rows, strict=True)), workspace))
