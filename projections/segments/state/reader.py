"""Loads the evaluation state of profiles, with as many statements for one as for thousands."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, select

from domain.evaluation.accumulator_state import AccumulatorState
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
"""Profiles that are loaded together."""

_STREAMS = f"""
SELECT stream, profile, kind, guessed, demoted_at, first_event_at, first_seen_position FROM {stream}
WHERE workspace = %(workspace)s AND profile IN (
    SELECT profile FROM {stream} WHERE workspace = %(workspace)s AND stream = ANY(%(streams)b)
    UNION
    SELECT unnest(%(profiles)b::uuid[])
)
"""

_ACCUMULATORS = f"""
SELECT stored.* FROM unnest(%b::uuid[]) AS wanted (stream) CROSS JOIN LATERAL (
    SELECT stream, values, backfilled_to FROM {accumulator_state}
    WHERE workspace = %s AND stream = wanted.stream OFFSET 0
) AS stored
"""

_MEMBERSHIP_STATES = f"""
SELECT stored.* FROM unnest(%b::uuid[]) AS wanted (profile) CROSS JOIN LATERAL (
    SELECT profile, member_of, next_timer FROM {membership_state}
    WHERE workspace = %s AND profile = wanted.profile OFFSET 0
) AS stored
"""

_MEMBERSHIPS = f"""
SELECT stored.*, NULL AS left_at FROM {member} AS stored
JOIN unnest(%(segments)s::text[], %(entered_at)s::bigint[]) AS wanted (segment, entered_at)
    USING (segment, entered_at)
WHERE workspace = %(workspace)s AND profile = %(profile)s
"""

_ALL_PROFILES = f"SELECT DISTINCT profile FROM {stream} WHERE workspace = %s"

_NEXT_TIMERS = f"""
SELECT wanted.workspace, least(
    (SELECT min(next_timer) FROM {membership_state}
        WHERE workspace = wanted.workspace AND next_timer IS NOT NULL),
    (SELECT min(due_at) FROM {rule_run} WHERE workspace = wanted.workspace AND due_at IS NOT NULL)
)
FROM unnest(%(workspaces)s::integer[]) AS wanted (workspace)
"""

_DUE = f"""
SELECT profile FROM {membership_state} WHERE workspace = %(workspace)s AND next_timer <= %(until)s
UNION
SELECT stream_owner.profile
    FROM {rule_run} AS waiting JOIN {stream} AS stream_owner USING (workspace, stream)
    WHERE workspace = %(workspace)s AND waiting.due_at <= %(until)s
"""

ENTRY_BYTES = 16
"""Bytes of one segment in ``membership_state.member_of``."""

_decode_values = msgspec.msgpack.Decoder(dict[int, msgspec.Raw]).decode


class LoadedState(NamedTuple):
    """Evaluation state of some profiles as it is stored."""

    streams: Mapping[UUID, StreamState]
    membership_states: Mapping[UUID, MembershipState]
    stored_memberships: Mapping[UUID, bytes]
    """``membership_state.member_of`` of each profile that has a row."""

    stored_streams: Collection[UUID]
    """The streams that have a row of ``accumulator_state``."""

    waiting_runs: Mapping[UUID, list[RuleRun]]
    """Waiting runs by stream."""


def sort_ids(ids: Iterable[UUID]) -> list[UUID]:
    """Returns ids in ascending order; by their integers, because UUIDs compare in Python code."""
    return sorted(ids, key=attrgetter("int"))


def next_timers(tx: Connection, workspaces: Sequence[int]) -> Mapping[int, int | None]:
    """Returns the earliest timer of each workspace, in microseconds since 1970 UTC."""
    rows = tx.exec_driver_sql(_NEXT_TIMERS, {"workspaces": list(workspaces)})
    return dict(map(tuple, rows))


def due_profiles(tx: Connection, workspace: int, until: int) -> Sequence[UUID]:
    """Returns the profiles with a timer, of a segment or a rule run, that is due by an instant."""
    rows = tx.exec_driver_sql(_DUE, {"workspace": workspace, "until": until})
    return sort_ids(rows.scalars())


def all_profiles(tx: Connection, workspace: int) -> Sequence[UUID]:
    """Returns all profiles of a workspace."""
    return sort_ids(tx.exec_driver_sql(_ALL_PROFILES, (workspace,)).scalars())


def load_streams(
    tx: Connection, workspace: int, streams: Collection[UUID], profiles: Collection[UUID]
) -> dict[UUID, StreamState]:
    """Returns all streams of these profiles, and of the profiles of these streams.

    Unknown streams are left out.  Accumulators are empty: `load_state` fills them in.
    """
    params = {"workspace": workspace, "streams": Uuids(streams), "profiles": Uuids(profiles)}
    with binary_cursor(tx) as cursor:
        rows = cursor.execute(_STREAMS, params).fetchall()
    return {
        id_: StreamState(StreamOwner(*owner), first_event_at, None, first_seen_position)
        for id_, *owner, first_event_at, first_seen_position in rows
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
    """Fills in the accumulators of streams; returns them with the state of their profiles.

    ``backfilled`` and ``only_keys`` are as in `projections.segments.backfill.lazy.backfill_streams`.
    Raises TimelineBehind, as that does.
    """
    profiles = Uuids({stream.owner.profile_id for stream in streams.values()})
    stored_streams: set[UUID] = set()
    states, stored_memberships = dict[UUID, MembershipState](), dict[UUID, bytes]()
    with pipeline(tx), binary_cursor(tx) as cursor, binary_cursor(tx) as state_cursor:
        cursor.execute(_ACCUMULATORS, (Uuids(streams), workspace))
        state_cursor.execute(_MEMBERSHIP_STATES, (profiles, workspace))
        for id_, values, backfilled_to in cursor.fetchall():
            stream = streams[id_]
            stream.accumulators = decode_accumulators(index, values)
            stream.backfilled_to = backfilled_to
            stored_streams.add(id_)
        for id_, stored, next_timer in state_cursor.fetchall():
            member_of = decode_memberships(index, stored)
            state = states[id_] = MembershipState(member_of, next_timer)
            state.has_dropped_segments = len(member_of) < len(stored) // ENTRY_BYTES
            stored_memberships[id_] = stored
    backfill_streams(tx, workspace, index, streams, backfilled, only_keys=only_keys)
    waiting = rule_runs.load_waiting_runs(tx, workspace, list(streams)) if index.has_rules else {}
    return LoadedState(streams, states, stored_memberships, stored_streams, waiting)


def decode_accumulators(index: SegmentIndex, values: bytes) -> AccumulatorState:
    """Returns the accumulators of a stream, without those that no definition requires any more."""
    keys, stored = index.registrations.codec.keys, _decode_values(values)
    if not stored.keys() <= keys.keys():
        stored = {number: value for number, value in stored.items() if number in keys}
    return AccumulatorState(stored=stored, codec=index.registrations.codec)


def decode_memberships(index: SegmentIndex, stored: bytes) -> dict[int, int]:
    """Returns when a profile entered each of its segments, in microseconds, by their ordinals.

    ``stored`` is ``membership_state.member_of``; segments that no longer exist are left out.
    """
    numbers = struct.unpack(f">{len(stored) // 8}q", stored)
    ordinals = map(index.order.ordinal_of_stored_id.get, numbers[::2])
    member_of: dict[Any, int] = dict(zip(ordinals, numbers[1::2], strict=True))
    member_of.pop(None, None)
    return member_of


def load_memberships(
    tx: Connection, workspace: int, index: SegmentIndex, profile: UUID
) -> Sequence[Row[Any]]:
    """Returns the rows of ``member`` of one profile, with ``left_at`` null."""
    stored = tx.execute(
        select(membership_state.c.member_of).where(
            membership_state.c.workspace == workspace, membership_state.c.profile == profile
        )
    ).scalar()
    member_of = decode_memberships(index, stored or b"")
    params = {
        "workspace": workspace,
        "profile": profile,
        "segments": [index.order.segments[ordinal].id for ordinal in member_of],
        "entered_at": list(member_of.values()),
    }
    return tx.exec_driver_sql(_MEMBERSHIPS, params).all()


def chunks(profiles: Iterable[UUID]) -> Iterator[list[UUID]]:
    """Yields profiles in lists of at most `PROFILES_PER_CHUNK`."""
    profiles = iter(profiles)
    while chunk := list(islice(profiles, PROFILES_PER_CHUNK)):
        yield chunk
