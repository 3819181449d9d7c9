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

from domain.evaluation.accumulators import AccumulatorState
from domain.evaluation.engine import Evaluator
from domain.evaluation.membership_state import MembershipState
from domain.evaluation.profile_context import StreamOwner, StreamState
from domain.evaluation.rule_runs import RuleRun
from domain.evaluation.segment_index import SegmentIndex
from projections.kit.arrays import Uuids
from projections.kit.driver import binary_cursor, pipeline
from projections.segments.backfill.lazy import NO_VALUES, backfill_streams
from projections.segments.backfill.sql import BackfilledValues
from projections.segments.state import rule_runs
from projections.segments.tables import (
    accumulator_state,
    member,
    membership_state,
    rule_run,
    stream,
)

PROFILES_PER_CHUNK = 5_000
"""Persons who are looked at together."""

_STREAMS = f"""
SELECT stream, person, kind, guessed, demoted_at, first_at, met_by FROM {stream}
WHERE workspace = %(workspace)s AND person IN (
    SELECT person FROM {stream} WHERE workspace = %(workspace)s AND stream = ANY(%(streams)b)
    UNION
    SELECT unnest(%(persons)b::uuid[])
)
"""

_ACCUMULATORS = f"""
SELECT known.* FROM unnest(%b::uuid[]) AS asked (stream) CROSS JOIN LATERAL (
    SELECT stream, values, upto FROM {accumulator_state} WHERE workspace = %s AND stream = asked.stream OFFSET 0
) AS known
"""

_MEMBERSHIP_STATES = f"""
SELECT known.* FROM unnest(%b::uuid[]) AS asked (person) CROSS JOIN LATERAL (
    SELECT person, inside, due FROM {membership_state} WHERE workspace = %s AND person = asked.person OFFSET 0
) AS known
"""

_MEMBERSHIPS = f"""
SELECT known.*, NULL AS left_at FROM {member} AS known
JOIN unnest(%(segments)s::text[], %(entered)s::bigint[]) AS asked (segment, entered_at)
    USING (segment, entered_at)
WHERE workspace = %(workspace)s AND person = %(person)s
"""

_ALL_PROFILES = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %s"

_NEXT_DUE = f"""
SELECT it.workspace, least(
    (SELECT min(due) FROM {membership_state} WHERE workspace = it.workspace AND due IS NOT NULL),
    (SELECT min(due) FROM {rule_run} WHERE workspace = it.workspace AND due IS NOT NULL)
)
FROM unnest(%(workspaces)s::integer[]) AS it (workspace)
"""

_DUE = f"""
SELECT person FROM {membership_state} WHERE workspace = %(workspace)s AND due <= %(until)s
UNION SELECT theirs.person FROM {rule_run} AS waiting JOIN {stream} AS theirs USING (workspace, stream)
    WHERE workspace = %(workspace)s AND waiting.due <= %(until)s
"""

ENTRY_BYTES = 16
"""Bytes of a segment in `person.inside`."""

_decode_values = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode


class LoadedState(NamedTuple):
    """What is kept of some persons before anything happens to them."""

    streams: Mapping[UUID, StreamState]
    membership_states: Mapping[UUID, MembershipState]
    stored_memberships: Mapping[UUID, bytes]
    """As `person.inside` has it."""

    stored_streams: Collection[UUID]
    """Those of the streams that have a row of `memory`."""

    waiting_runs: Mapping[UUID, list[RuleRun]]
    """What waits in the name of each stream."""


def sort_ids(ids: Iterable[UUID]) -> list[UUID]:
    """Return ids in their order: by their numbers, for two UUIDs are compared in Python."""
    return sorted(ids, key=attrgetter("int"))


def next_timers(tx: Connection, workspaces: Sequence[int]) -> Mapping[int, int | None]:
    """Return when the next answer may change by itself in each workspace."""
    return dict(map(tuple, tx.exec_driver_sql(_NEXT_DUE, {"workspaces": list(workspaces)})))


def due_profiles(tx: Connection, workspace: int, until: int) -> Sequence[UUID]:
    """Return for whom an answer may change by itself, or a rule goes on, by that instant."""
    found = tx.exec_driver_sql(_DUE, {"workspace": workspace, "until": until})
    return sort_ids(found.scalars())


def all_profiles(tx: Connection, workspace: int) -> Sequence[UUID]:
    """Return all persons of a workspace."""
    return sort_ids(tx.exec_driver_sql(_ALL_PROFILES, (workspace,)).scalars())


def load_streams(
    tx: Connection, workspace: int, streams: Collection[UUID], profiles: Collection[UUID]
) -> dict[UUID, StreamState]:
    """Return these streams as far as they are known, with all others of their persons, and of these."""
    asked = {"workspace": workspace, "streams": Uuids(streams), "persons": Uuids(profiles)}
    with binary_cursor(tx) as ask:
        rows = ask.execute(_STREAMS, asked).fetchall()
    return {
        id_: StreamState(StreamOwner(*it), first_at, None, met_by)
        for id_, *it, first_at, met_by in rows
    }


def load_state(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    streams: Mapping[UUID, StreamState],
    backfilled: BackfilledValues = NO_VALUES,
    *,
    only_keys: Collection[str] | None = None,
) -> LoadedState:
    """Fill in what is remembered of streams, and return it with what is kept of their persons.

    ``looked``, ``only`` and TimelineBehind, which it raises: see `recalling.recall`.
    """
    persons = Uuids({it.owner.profile_id for it in streams.values()})
    remembered: set[UUID] = set()
    standings, kept = dict[UUID, MembershipState](), dict[UUID, bytes]()
    with pipeline(tx), binary_cursor(tx) as ask, binary_cursor(tx) as ask_too:
        ask.execute(_ACCUMULATORS, (Uuids(streams), workspace))
        ask_too.execute(_MEMBERSHIP_STATES, (persons, workspace))
        for id_, values, upto in ask.fetchall():
            known = streams[id_]
            known.accumulators, known.backfilled_to = decode_accumulators(index, values), upto
            remembered.add(id_)
        for id_, inside, due in ask_too.fetchall():
            found = decode_memberships(index, inside)
            standing = standings[id_] = MembershipState(found, due)
            standing.has_dropped_segments, kept[id_] = (
                len(found) < len(inside) // ENTRY_BYTES,
                inside,
            )
    backfill_streams(tx, workspace, index, streams, backfilled, only_keys=only_keys)
    waiting = rule_runs.load_waiting_runs(tx, workspace, list(streams)) if index.rule_index else {}
    return LoadedState(streams, standings, kept, remembered, waiting)


def decode_accumulators(index: SegmentIndex, values: bytes) -> AccumulatorState:
    """Return what is remembered of a stream, without what nobody asks for any more."""
    keys, stored = index.codec.keys, _decode_values(values)
    if not stored.keys() <= keys.keys():
        stored = {it: raw for it, raw in stored.items() if it in keys}
    return AccumulatorState(stored=stored, codec=index.codec)


def decode_memberships(index: SegmentIndex, stored: bytes) -> dict[int, int]:
    """Return the places of the segments that somebody is in, and when they entered each, from `person.inside`.

    Without those that are no more.
    """
    numbers, known = struct.unpack(f">{len(stored) // 8}q", stored), index.ordinal_of_stored_id
    found: dict[Any, int] = dict(zip(map(known.get, numbers[::2]), numbers[1::2], strict=True))
    found.pop(None, None)
    return found


def load_memberships(
    tx: Connection, workspace: int, index: SegmentIndex, profile: UUID
) -> Sequence[Row[Any]]:
    """Return the rows of `member` of the segments that a person is in."""
    mine = (membership_state.c.workspace == workspace, membership_state.c.person == profile)
    found = decode_memberships(
        index, tx.execute(select(membership_state.c.inside).where(*mine)).scalar() or b""
    )
    asked = {
        "workspace": workspace,
        "person": profile,
        "segments": [index.segments[it].id for it in found],
        "entered": list(found.values()),
    }
    return tx.exec_driver_sql(_MEMBERSHIPS, asked).all()


def make_evaluator(index: SegmentIndex, state: LoadedState) -> Evaluator:
    """Return what is kept, for something to happen."""
    runs = chain.from_iterable(state.waiting_runs.values())
    return Evaluator(index, state.streams, state.membership_states, runs)


def chunks(profiles: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Give persons out as many at a time as are looked at together."""
    profiles = iter(profiles)
    while found := list(islice(profiles, PROFILES_PER_CHUNK)):
        yield found
