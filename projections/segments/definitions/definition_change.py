"""Re-evaluates the profiles that a definition change can affect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import EvaluationInput, referenced_segments
from domain.core.ledger_time import Cause
from domain.evaluation.engine import EvaluationEngine
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from projections.segments.backfill import bulk, sql
from projections.segments.backfill.sql import BackfilledValues
from projections.segments.state import reader, writer
from projections.segments.tables import member, stream

_PROFILES = f"SELECT DISTINCT profile FROM {stream} WHERE workspace = %s AND stream = ANY(%b)"

_MEMBERS = f"""
SELECT DISTINCT profile FROM {member} WHERE workspace = %s AND segment = ANY(%s)
"""


class DefinitionChange(NamedTuple):
    """A definition that was applied, and the index from then on."""

    segment_index: SegmentIndex
    cause: Cause
    new_accumulators: Sequence[str]
    """Keys of the accumulators that no definition required before."""


def populate(tx: Connection, workspace: int, change: DefinitionChange, ordinal: int) -> None:
    """Finds the members of a new segment: most of them with one SQL statement."""
    index = change.segment_index
    segment = index.order.segments[ordinal]
    has_dependents = ordinal in index.order.dependents or any(
        index.rule_index.triggered_by(kind, segment.id) for kind in ("entered", "left")
    )
    query = (
        None if has_dependents else bulk.compile_members_query(segment.condition, change.cause.at)
    )
    if query is None:
        reevaluate(tx, workspace, change, {ordinal})
        return
    sql.require_timeline_at(tx, workspace, change.cause.position)
    to_recheck = reader.sort_ids(query.insert_members(tx, workspace, segment, change.cause))
    writer.update_profiles(
        tx,
        workspace,
        index,
        to_recheck,
        lambda engine: engine.apply_definition({ordinal}, change.cause),
    )


def reevaluate(
    tx: Connection, workspace: int, change: DefinitionChange, ordinals: Collection[int]
) -> None:
    """Evaluates segments for every profile that the change can affect.

    ``ordinals`` are those of the segments whose condition has changed.
    """
    if not ordinals:
        return
    index = change.segment_index
    new = [index.accumulators[key] for key in change.new_accumulators]
    backfilled = sql.backfill_values(tx, workspace, new, change.cause)
    segments = [index.order.segments[ordinal].id for ordinal in sorted(ordinals)]
    affects_all = _may_affect_all_profiles(change, ordinals)
    if affects_all:
        members, profiles = frozenset[UUID](), frozenset(reader.all_profiles(tx, workspace))
    else:
        streams_with_values = list(set[UUID]().union(*backfilled.values()))
        members = frozenset(tx.exec_driver_sql(_MEMBERS, (workspace, segments)).scalars())
        profiles = members.union(
            tx.exec_driver_sql(_PROFILES, (workspace, streams_with_values)).scalars()
        )
    can_skip = not affects_all and index.profile_fact_keys.isdisjoint(change.new_accumulators)
    for chunk in reader.chunks(reader.sort_ids(profiles)):
        streams = reader.load_streams(tx, workspace, (), chunk)
        if can_skip:
            skipped = _confirmed_non_members(change, ordinals, streams, backfilled) - members
            streams = {
                id_: stream
                for id_, stream in streams.items()
                if stream.owner.profile_id not in skipped
            }
        state = reader.load_state(tx, workspace, index, streams, backfilled)
        engine = EvaluationEngine(index, state.streams, state.membership_states, state.waiting_runs)
        engine.apply_definition(ordinals, change.cause)
        writer.save_state(tx, workspace, index, state, engine)


def _confirmed_non_members(
    change: DefinitionChange,
    ordinals: Collection[int],
    streams: Mapping[UUID, StreamState],
    backfilled: BackfilledValues,
) -> set[UUID]:
    """Returns profiles of one stream that match no segment and have no timer to match one later.

    Most profiles are such; their backfilled values are loaded again with their next event.
    """
    predicates = [change.segment_index.order.predicates[ordinal] for ordinal in ordinals]
    clock, non_members = change.cause.at, set[UUID]()
    stream_counts = Counter(stream.owner.profile_id for stream in streams.values())
    for id_, state in streams.items():
        evaluation_input = EvaluationInput(
            {key: values[id_] for key, values in backfilled.items() if id_ in values}
        )
        profile_id = state.owner.profile_id
        if stream_counts[profile_id] == 1 and all(
            predicate(evaluation_input, clock) == (False, None) for predicate in predicates
        ):
            non_members.add(profile_id)
    return non_members


def _may_affect_all_profiles(change: DefinitionChange, ordinals: Collection[int]) -> bool:
    index = change.segment_index
    keys = {key for key, readers in index.readers.items() if not readers.isdisjoint(ordinals)}
    # Which profiles have a value of an older accumulator is known only by loading all of them.
    return bool(
        not index.always_evaluate.isdisjoint(ordinals)
        or any(referenced_segments(index.order.segments[ordinal].condition) for ordinal in ordinals)
        or keys.difference(change.new_accumulators)
    )
