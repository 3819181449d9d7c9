"""Writes what has become of people: set by set, and only what is different from before."""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.evaluation.accumulators import AccumulatorValue
from domain.evaluation.engine import Evaluator
from domain.evaluation.membership_state import MembershipState
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from projections.kit.arrays import pack_array as packed_array
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
UPDATE {accumulator_state} AS known SET values = changed.values, upto = changed.upto
FROM unnest(%b::uuid[], %b::bytea[], %b::bigint[]) AS changed (stream, values, upto)
WHERE known.workspace = %s AND known.stream = changed.stream
"""

_DELETE_ACCUMULATORS = f"DELETE FROM {accumulator_state} WHERE stream = ANY(%b) AND workspace = %s"

_UPDATE_MEMBERSHIP_STATES = f"""
UPDATE {membership_state} AS known SET inside = changed.inside, due = changed.due
FROM unnest(%b::uuid[], %b::bytea[], %b::bigint[]) AS changed (person, inside, due)
WHERE known.workspace = %s AND known.person = changed.person
"""

_DELETE_MEMBERSHIP_STATES = (
    f"DELETE FROM {membership_state} WHERE person = ANY(%b) AND workspace = %s"
)

_END_MEMBERSHIPS = f"""
WITH ended AS (
    DELETE FROM {member} AS known
    USING unnest(%b::text[], %b::uuid[], %b::bigint[], %b::bigint[], %b::bigint[])
        AS ended (segment, person, entered_at, left_at, left_by)
    WHERE known.workspace = %s AND known.segment = ended.segment
        AND known.entered_at = ended.entered_at AND known.person = ended.person
    RETURNING known.*, ended.left_at, ended.left_by
)
INSERT INTO {membership_interval} SELECT * FROM ended
"""

# Mostly somebody enters several at once: who and when is said once for all of them.
_INSERT_MEMBERSHIPS = f"""
INSERT INTO {member} SELECT %s, segment, persons[number], entered_at[number], entered_by[number]
FROM (SELECT %b::uuid[], %b::bigint[], %b::bigint[]) AS entries (persons, entered_at, entered_by),
    unnest(%b::text[], %b::bigint[]) AS entered (segment, number)
"""

_encode = msgspec.msgpack.Encoder().encode
EMPTY_ACCUMULATORS = _encode({})
"""`memory.values` of whom nothing is remembered, which was looked up."""


def update_profiles(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    profiles: Iterable[UUID],
    update: Callable[[Evaluator], None],
) -> None:
    """Have something happen to persons, some at a time, and write what becomes of them."""
    for some in reader.chunks(profiles):
        kept = reader.load_state(tx, workspace, index, reader.load_streams(tx, workspace, (), some))
        people = reader.make_evaluator(index, kept)
        update(people)
        save_state(tx, workspace, index, kept, people)


def save_state(
    tx: Connection, workspace: int, index: SegmentIndex, before: LoadedState, after: Evaluator
) -> None:
    """Write what is different from before."""
    _save_streams(tx, workspace, after)
    _save_accumulators(tx, workspace, index, before.stored_streams, after)
    _save_intervals(tx, workspace, index, after)
    _save_membership_states(tx, workspace, index, before, after)
    rule_runs.save_runs(
        tx,
        workspace,
        index.rule_index,
        before.waiting_runs,
        after.rule_runner.changed_runs.values(),
    )


def _save_streams(tx: Connection, workspace: int, after: Evaluator) -> None:
    rows = [
        (workspace, id_, *it.owner, it.first_event_at, it.first_seen_position)
        for id_, it in after.streams.items()
        if it.row_changed
    ]
    if rows:
        execute_with_arrays(tx, _DELETE_STREAMS, workspace, [(row[1],) for row in rows])
        insert_rows(tx, stream, rows)


def _save_accumulators(
    tx: Connection, workspace: int, index: SegmentIndex, before: Collection[UUID], after: Evaluator
) -> None:
    new, changed, gone = [], [], []
    met = (person.streams.items() for person in after.profiles.values() if person.touched)
    for id_, it in chain.from_iterable(met):
        if it.dirty or it.watermark_moved:
            values = encode_accumulators(index, it)
            if values == EMPTY_ACCUMULATORS and it.backfilled_to == it.first_seen_position:
                gone += [(id_,)] if id_ in before else []
            elif id_ in before:
                changed.append((id_, values, it.backfilled_to))
            else:
                new.append((workspace, id_, values, it.backfilled_to))
    execute_with_arrays(tx, _UPDATE_ACCUMULATORS, workspace, changed)
    execute_with_arrays(tx, _DELETE_ACCUMULATORS, workspace, gone)
    insert_rows(tx, accumulator_state, new)


def encode_accumulators(index: SegmentIndex, stream: StreamState) -> bytes:
    """Return all that is remembered of a stream, in bytes."""
    (memories, numbers, _), memory = index.codec, stream.accumulators
    values, in_order = dict[int, AccumulatorValue](memory.stored), True
    for key, at in stream.dirty.items():
        number, value = numbers[key], memories[key].to_stored(memory[key], at)
        if value is None:
            values.pop(number, None)
        else:
            in_order &= number in values  # as all that was stored is
            values[number] = value
    return _encode(values if in_order else {it: values[it] for it in sorted(values)})


def _save_intervals(tx: Connection, workspace: int, index: SegmentIndex, after: Evaluator) -> None:
    old, over = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for segment, person_, entered, left in after.ended_intervals:
        if isinstance(entered, int):
            old.append((segment, person_, entered, *left))
        else:
            over.append((workspace, segment, person_, *entered, *left))
    execute_with_arrays(
        tx, _END_MEMBERSHIPS, workspace, old
    )  # before they come in again, perhaps at the same instant
    insert_rows(tx, membership_interval, over)
    _insert_memberships(tx, workspace, index, after)


def _insert_memberships(
    tx: Connection, workspace: int, index: SegmentIndex, after: Evaluator
) -> None:
    segments = [it.id for it in index.segments]
    entries, entered, numbers = list[tuple[UUID, int, int]](), list[str](), list[int]()
    for id_, standing in _changed_states(after):
        at = None
        for place, since in standing.entered_in_batch.items():
            if since is not at:
                entries.append((id_, *since))
                at = since
            entered.append(segments[place])
            numbers.append(len(entries))
    if entered:
        columns = [*zip(*entries, strict=True), entered, numbers]
        with binary_cursor(tx) as ask:
            ask.execute(_INSERT_MEMBERSHIPS, (workspace, *map(packed_array, columns)))


def _save_membership_states(
    tx: Connection, workspace: int, index: SegmentIndex, before: LoadedState, after: Evaluator
) -> None:
    new, changed, gone = [], [], []
    for id_, standing in _changed_states(after):
        is_known = id_ in before.membership_states
        if standing.member_of or standing.next_timer is not None:
            inside = (
                _encode_memberships(index, standing)
                if standing.segments_changed
                else before.stored_memberships.get(id_, b"")
            )
            if is_known:
                changed.append((id_, inside, standing.next_timer))
            else:
                new.append((workspace, id_, inside, standing.next_timer))
        elif is_known:
            gone.append((id_,))
    execute_with_arrays(tx, _UPDATE_MEMBERSHIP_STATES, workspace, changed)
    execute_with_arrays(tx, _DELETE_MEMBERSHIP_STATES, workspace, gone)
    insert_rows(tx, membership_state, new)


def _encode_memberships(index: SegmentIndex, standing: MembershipState) -> bytes:
    since = map(index.stored_ids.__getitem__, standing.member_of)
    pairs = chain.from_iterable(zip(since, standing.member_of.values(), strict=True))
    return struct.pack(f">{2 * len(standing.member_of)}q", *pairs)


def _changed_states(after: Evaluator) -> Iterator[tuple[UUID, MembershipState]]:
    return ((it.id, it.membership) for it in after.profiles.values() if it.membership.changed)
