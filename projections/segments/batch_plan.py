"""Plans the evaluation of a run of records: the inputs, and the streams to load for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.inputs import EngineInput, EventInput, IdentityChange, ListChange
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.events.events import ManualListChanged, MessageEvent
from domain.events.recorded import RecordedEvent
from domain.identity.claims import Claim
from projections.runtime.batch import Batch, DecodedMessage
from projections.segments.identity_changes import PlannedIdentity
from projections.segments.inputs import derive_inputs
from projections.segments.state import reader
from projections.segments.state.partitioning import partition
from projections.segments.state.reader import LoadedState


class BatchPlan(NamedTuple):
    """Inputs of an evaluation, and the streams that it needs."""

    identity_changes: Sequence[IdentityChange]
    inputs: Sequence[EventInput | ListChange]
    until: int
    """Time of the last record, in microseconds: timers are due by then."""

    sweeps_rest: bool
    """Whether too many timers are due to load all their profiles at once: see `plan_batch`."""

    claim_limits: Mapping[UUID, Claim]
    """New last claims of identifiers, to be saved: see `identity_changes`."""

    streams: Mapping[UUID, StreamState]
    """All streams of the profiles that an input concerns or that have a timer due; not loaded yet."""


def plan_batch(
    tx: Connection,
    batch: Batch,
    index: SegmentIndex,
    records: Sequence[RecordedEvent],
    messages: Mapping[int, DecodedMessage],
) -> BatchPlan:
    """Derives the inputs of records between two barriers, and finds the streams they concern.

    ``messages`` has the decoded messages of the batch by position.  If more timers are due than profiles
    may be loaded at once, only those that an input concerns are loaded; the others are left to a sweep.
    """
    until = to_micros(records[-1].recorded_at)
    due_profiles = reader.due_profiles(tx, batch.workspace, until)
    sweeps_rest = len(due_profiles) > reader.PROFILES_PER_CHUNK
    if sweeps_rest:
        due_profiles = ()
    identity = PlannedIdentity(tx, batch, records)
    linked = identity.streams
    streams = reader.load_streams(tx, batch.workspace, linked | _streams_of(records), due_profiles)
    identity_changes = identity.changes(streams)
    inputs = list(derive_inputs(records, messages, index, streams))
    touched = linked.union(entry.stream for entry in inputs)
    return BatchPlan(
        identity_changes,
        inputs,
        until,
        sweeps_rest,
        identity.claim_limits,
        _streams_of_affected_profiles(streams, touched, due_profiles),
    )


def load_partitions(
    tx: Connection, workspace: int, index: SegmentIndex, plan: BatchPlan
) -> Iterator[tuple[LoadedState, Sequence[EngineInput]]]:
    """Loads what a plan needs, and yields it in parts, each with the inputs of its profiles."""
    state = reader.load_state(tx, workspace, index, plan.streams)
    return partition(state, plan.identity_changes, plan.inputs)


def _streams_of_affected_profiles(
    streams: Mapping[UUID, StreamState], touched: Collection[UUID], due_profiles: Iterable[UUID]
) -> dict[UUID, StreamState]:
    """Returns all streams of the profiles of touched streams, and of those with a timer due."""
    known = filter(None, map(streams.get, touched))
    profiles = {stream.owner.profile_id for stream in known}.union(due_profiles)
    return {id_: stream for id_, stream in streams.items() if stream.owner.profile_id in profiles}


def _streams_of(records: Sequence[RecordedEvent]) -> set[UUID]:
    """Returns the streams of profiles that the records belong to."""
    return {
        record.stream
        for record in records
        if isinstance(record.event, ManualListChanged)
        or (isinstance(record.event, MessageEvent) and record.event.subject is not None)
    }
