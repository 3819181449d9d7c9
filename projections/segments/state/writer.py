"""Saves the evaluation state of profiles: only the rows that have changed, table by table."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.conditions.accumulators import AccumulatorValue
from domain.evaluation.engine import EvaluationEngine
from domain.evaluation.membership_state import MembershipState
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.events.recorded import RecordedEvent
from projections.kit.arrays import pack_array
from projections.kit.driver import binary_cursor, execute_with_arrays, insert_rows
from projections.segments.state import reader, rule_runs
from projections.segments.state.reader import LoadedState
from projections.segments.tables import (
    accumulator_state,
    member,
    membership_interval,
    membership_state,
    stream,
)

_DELETE_STREAMS = f"DELETE FROM {stream} WHERE stream = ANY(%b) AND workspace = %s"

_UPDATE_ACCUMULATORS = f"""
UPDATE {accumulator_state} AS stored SET values = changed.values, backfilled_to = changed.backfilled_to
FROM unnest(%b::uuid[], %b::bytea[], %b::bigint[]) AS changed (stream, values, backfilled_to)
WHERE stored.workspace = %s AND stored.stream = changed.stream
"""

_DELETE_ACCUMULATORS = f"DELETE FROM {accumulator_state} WHERE stream = ANY(%b) AND workspace = %s"

_UPDATE_MEMBERSHIP_STATES = f"""
UPDATE {membership_state} AS stored SET member_of = changed.member_of, next_timer = changed.next_timer
FROM unnest(%b::uuid[], %b::bytea[], %b::bigint[]) AS changed (profile, member_of, next_timer)
WHERE stored.workspace = %s AND stored.profile = changed.profile
"""

_DELETE_MEMBERSHIP_STATES = (
    f"DELETE FROM {membership_state} WHERE profile = ANY(%b) AND workspace = %s"
)

_END_MEMBERSHIPS = f"""
WITH ended AS (
    DELETE FROM {member} AS stored
    USING unnest(%b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[])
        AS ended (segment, profile, entered_at, left_at, left_position)
    WHERE stored.workspace = %s AND stored.segment = ended.segment
        AND stored.entered_at = ended.entered_at AND stored.profile = ended.profile
    RETURNING stored.*, ended.left_at, ended.left_position
)
INSERT INTO {membership_interval} SELECT * FROM ended
"""

# A profile usually enters several segments at once: its id, instant and position are sent once for all of them.
_INSERT_MEMBERSHIPS = f"""
INSERT INTO {member}
SELECT %s, segment, profiles[entry], entered_at[entry], entered_position[entry]
FROM (SELECT %b::uuid[], %b::bigint[], %b::bigint[]) AS entries (profiles, entered_at, entered_position),
    unnest(%b::text[], %b::bigint[]) AS entered (segment, entry)
"""

_encode = msgspec.msgpack.Encoder().encode
EMPTY_ACCUMULATORS = _encode({})
"""``accumulator_state.values`` of a stream that was backfilled and has no accumulator."""


def update_profiles(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    profiles: Iterable[UUID],
    update: Callable[[EvaluationEngine], None],
) -> None:
    """Loads profiles chunk by chunk, applies an update to each chunk and saves the result."""
    for chunk in reader.chunks(profiles):
        streams = reader.load_streams(tx, workspace, (), chunk)
        state = reader.load_state(tx, workspace, index, streams)
        engine = EvaluationEngine(index, state.streams, state.membership_states, state.waiting_runs)
        update(engine)
        save_state(tx, workspace, index, state, engine)


def save_state(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    before: LoadedState,
    after: EvaluationEngine,
) -> None:
    """Writes what an engine has changed since its state was loaded."""
    _save_streams(tx, workspace, after)
    _save_accumulators(tx, workspace, index, before.stored_streams, after)
    _save_intervals(tx, workspace, index, after)
    _save_membership_states(tx, workspace, index, before, after)
    rule_runs.save_runs(
        tx,
        workspace,
        index.rule_index,
        before.waiting_runs,
        after.rule_runner.changed_runs,
    )


def save_fired(tx: Connection, workspace: int, records: Sequence[RecordedEvent]) -> None:
    """Marks the runs that the ledger has recorded as fired."""
    rule_runs.mark_fired(tx, workspace, records)


def _save_streams(tx: Connection, workspace: int, after: EvaluationEngine) -> None:
    rows = [
        (workspace, id_, *state.owner, state.first_event_at, state.first_seen_position)
        for id_, state in after.streams.items()
        if state.row_changed
    ]
    if rows:
        execute_with_arrays(tx, _DELETE_STREAMS, workspace, [(row[1],) for row in rows])
        insert_rows(tx, stream, rows)


def _save_accumulators(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    stored: Collection[UUID],
    after: EvaluationEngine,
) -> None:
    inserted, updated, deleted = [], [], []
    touched = (profile.streams.items() for profile in after.profiles.values() if profile.touched)
    for id_, state in chain.from_iterable(touched):
        if state.dirty or state.watermark_moved:
            values = encode_accumulators(index, state)
            if values == EMPTY_ACCUMULATORS and state.backfilled_to == state.first_seen_position:
                deleted += [(id_,)] if id_ in stored else []
            elif id_ in stored:
                updated.append((id_, values, state.backfilled_to))
            else:
                inserted.append((workspace, id_, values, state.backfilled_to))
    execute_with_arrays(tx, _UPDATE_ACCUMULATORS, workspace, updated)
    execute_with_arrays(tx, _DELETE_ACCUMULATORS, workspace, deleted)
    insert_rows(tx, accumulator_state, inserted)


def encode_accumulators(index: SegmentIndex, stream: StreamState) -> bytes:
    """Returns ``accumulator_state.values`` of a stream."""
    (accumulators, numbers, _), state = index.registrations.codec, stream.accumulators
    values, in_order = dict[int, AccumulatorValue](state.stored), True
    for key, clock in stream.dirty.items():
        number, value = numbers[key], accumulators[key].to_stored(state[key], clock)
        if value is None:
            values.pop(number, None)
        else:
            in_order &= number in values  # stored values are in the order of their numbers
            values[number] = value
    return _encode(values if in_order else {number: values[number] for number in sorted(values)})


def _save_intervals(
    tx: Connection, workspace: int, index: SegmentIndex, after: EvaluationEngine
) -> None:
    stored, new = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for segment, profile_id, entered, left in after.ended_intervals:
        if isinstance(entered, int):
            stored.append((segment, profile_id, entered, *left))
        else:
            new.append((workspace, segment, profile_id, *entered, *left))
    # Before the inserts: a profile may enter a segment again at the instant at which it left.
    execute_with_arrays(tx, _END_MEMBERSHIPS, workspace, stored)
    insert_rows(tx, membership_interval, new)
    _insert_memberships(tx, workspace, index, after)


def _insert_memberships(
    tx: Connection, workspace: int, index: SegmentIndex, after: EvaluationEngine
) -> None:
    segments = [segment.id for segment in index.order.segments]
    entries, entered, entry_numbers = list[tuple[UUID, int, int]](), list[str](), list[int]()
    for id_, state in _changed_states(after):
        last_cause = None
        for ordinal, cause in state.entered_in_batch.items():
            if cause is not last_cause:
                entries.append((id_, *cause))
                last_cause = cause
            entered.append(segments[ordinal])
            entry_numbers.append(len(entries))
    if entered:
        columns = [*zip(*entries, strict=True), entered, entry_numbers]
        with binary_cursor(tx) as cursor:
            cursor.execute(_INSERT_MEMBERSHIPS, (workspace, *map(pack_array, columns)))


def _save_membership_states(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    before: LoadedState,
    after: EvaluationEngine,
) -> None:
    inserted, updated, deleted = [], [], []
    for id_, state in _changed_states(after):
        is_stored = id_ in before.membership_states
        if state.member_of or state.next_timer is not None:
            member_of = (
                _encode_memberships(index, state)
                if state.segments_changed
                else before.stored_memberships.get(id_, b"")
            )
            if is_stored:
                updated.append((id_, member_of, state.next_timer))
            else:
                inserted.append((workspace, id_, member_of, state.next_timer))
        elif is_stored:
            deleted.append((id_,))
    execute_with_arrays(tx, _UPDATE_MEMBERSHIP_STATES, workspace, updated)
    execute_with_arrays(tx, _DELETE_MEMBERSHIP_STATES, workspace, deleted)
    insert_rows(tx, membership_state, inserted)


def _encode_memberships(index: SegmentIndex, state: MembershipState) -> bytes:
    numbers = map(index.order.stored_ids.__getitem__, state.member_of)
    pairs = chain.from_iterable(zip(numbers, state.member_of.values(), strict=True))
    return struct.pack(f">{2 * len(state.member_of)}q", *pairs)


def _changed_states(after: EvaluationEngine) -> Iterator[tuple[UUID, MembershipState]]:
    return (
        (profile.id, profile.membership)
        for profile in after.profiles.values()
        if profile.membership.changed
    )
