"""Plans the evaluation of a run of records: the inputs, and the streams to load for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.inputs import EventInput, IdentityChange, ListChange
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.events.events import ManualListChanged, MessageEvent
from domain.events.recorded import RecordedEvent
from projections.runtime.batch import Batch, DecodedMessage
from projections.segments.inputs import (
    RecordedIdentityFact,
    derive_identity_changes,
    derive_inputs,
    read_identity_facts,
    streams_in_identity_events,
)
from projections.segments.state import reader


class BatchPlan(NamedTuple):
    """Inputs of an evaluation, and the streams that it needs."""

    identity_changes: Sequence[IdentityChange]
    inputs: Sequence[EventInput | ListChange]
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

    ``messages`` has the decoded messages of the batch by position.
    """
    due_profiles = reader.due_profiles(tx, batch.workspace, to_micros(records[-1].recorded_at))
    identity_changes = _identity_changes(batch, records)
    linked = {
        stream
        for change in identity_changes
        for id_, owner in change.owners.items()
        for stream in (id_, owner.profile_id)
    }
    streams = reader.load_streams(tx, batch.workspace, linked | _streams_of(records), due_profiles)
    inputs = list(derive_inputs(records, messages, index, streams))
    touched = linked.union(entry.stream for entry in inputs)
    return BatchPlan(
        identity_changes, inputs, _streams_of_affected_profiles(streams, touched, due_profiles)
    )


def _streams_of_affected_profiles(
    streams: Mapping[UUID, StreamState], touched: Collection[UUID], due_profiles: Iterable[UUID]
) -> dict[UUID, StreamState]:
    """Returns all streams of the profiles of touched streams, and of those with a timer due."""
    known = filter(None, map(streams.get, touched))
    profiles = {stream.owner.profile_id for stream in known}.union(due_profiles)
    return {id_: stream for id_, stream in streams.items() if stream.owner.profile_id in profiles}


def _identity_changes(batch: Batch, records: Sequence[RecordedEvent]) -> list[IdentityChange]:
    facts = _load_identity_facts(batch, records)
    if not facts:
        return []
    recorded_times = {record.position: to_micros(record.recorded_at) for record in records}
    return list(derive_identity_changes(facts, recorded_times, batch.stream_of))


def _load_identity_facts(
    batch: Batch, records: Sequence[RecordedEvent]
) -> Sequence[RecordedIdentityFact]:
    """Returns all identity facts so far about the streams in the records' identity events."""
    streams = streams_in_identity_events(records, batch.stream_of)
    if not streams:
        return ()
    last = records[-1].position
    events = {
        position: event
        for position, event in batch.identity_events_for(streams).items()
        if position <= last
    }
    return list(read_identity_facts(events, batch.stream_of))


def _streams_of(records: Sequence[RecordedEvent]) -> set[UUID]:
    """Returns the streams of profiles that the records belong to."""
    return {
        record.stream
        for record in records
        if isinstance(record.event, ManualListChanged)
        or (isinstance(record.event, MessageEvent) and record.event.subject is not None)
    }
