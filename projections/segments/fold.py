"""Applies batches: updates segment memberships and runs automation rules.

A batch is split at barriers: definition events, and system events that a rule listens to, because each of
them can concern every profile.  The events between two barriers are evaluated in the order of the ledger;
a definition takes effect at its own position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.inputs import EngineInput
from domain.evaluation.segment_index import SegmentIndex
from domain.events.events import (
    ComputedAttributeArchived,
    ComputedAttributeDefined,
    SegmentArchived,
    SegmentDefined,
    SystemEventOccurred,
)
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleDefined, RuleStatusChanged
from projections.kit.driver import iterate_and_flush, pipeline
from projections.runtime.batch import Batch, DecodedMessage
from projections.segments import broadcast
from projections.segments.batch_plan import plan_batch
from projections.segments.definitions.apply import apply_definition_event
from projections.segments.definitions.index import load_segment_index
from projections.segments.definitions.rules import apply_rule_event
from projections.segments.state import reader, rule_runs, writer
from projections.segments.state.partitioning import partition
from projections.segments.state.reader import LoadedState

_SEGMENT_EVENTS = (
    SegmentDefined,
    SegmentArchived,
    ComputedAttributeDefined,
    ComputedAttributeArchived,
)
_RULE_EVENTS = (RuleDefined, RuleStatusChanged)
_DEFINITION_EVENTS = (*_SEGMENT_EVENTS, *_RULE_EVENTS)


def apply(tx: Connection, batch: Batch) -> None:
    """Applies a batch of events of one workspace."""
    messages = {message.recorded.position: message for message in batch.messages()}
    index = load_segment_index(tx, batch.workspace)

    def is_barrier(recorded: RecordedEvent) -> bool:
        if isinstance(recorded.event, SystemEventOccurred):
            return broadcast.has_listeners(index, messages[recorded.position])
        return isinstance(recorded.event, _DEFINITION_EVENTS)

    for records in _split_at_barriers(batch.records, is_barrier):
        first = records[0]
        event, clock = first.event, to_micros(first.recorded_at)
        if isinstance(event, _SEGMENT_EVENTS):
            sweep(tx, batch.workspace, clock)
            index = apply_definition_event(tx, batch.workspace, first, event)
        elif isinstance(event, _RULE_EVENTS):
            sweep(tx, batch.workspace, clock)
            index = apply_rule_event(tx, batch.workspace, first, event)
        elif is_barrier(first):
            sweep(tx, batch.workspace, clock)
            broadcast.broadcast_event(tx, batch.workspace, index, messages[first.position])
        else:
            _apply_records(tx, batch, index, records, messages)
            rule_runs.mark_fired(tx, batch.workspace, records)


def sweep(tx: Connection, workspace: int, clock: int) -> None:
    """Fires the timers that are due by a clock, in microseconds since 1970 UTC."""
    profiles = reader.due_profiles(tx, workspace, clock)
    if not profiles:
        return
    index = load_segment_index(tx, workspace)
    writer.update_profiles(
        tx, workspace, index, profiles, lambda engine: engine.advance_time_to(clock)
    )


def _split_at_barriers(
    records: Sequence[RecordedEvent], is_barrier: Callable[[RecordedEvent], bool]
) -> Iterator[Sequence[RecordedEvent]]:
    """Yields the runs of records between barriers, and each barrier by itself."""
    start = 0
    for offset, recorded in enumerate(records):
        if is_barrier(recorded):
            if start < offset:
                yield records[start:offset]
            yield records[offset : offset + 1]
            start = offset + 1
    if start < len(records):
        yield records[start:]


def _apply_records(
    tx: Connection,
    batch: Batch,
    index: SegmentIndex,
    records: Sequence[RecordedEvent],
    messages: Mapping[int, DecodedMessage],
) -> None:
    """Applies records without a barrier, and the timers that are due by the last of them."""
    until = to_micros(records[-1].recorded_at)
    partitions = _load_partitions(tx, batch, index, records, messages)
    with pipeline(tx):
        # Its return frees the state while the server still writes the last partition: a thirtieth of
        # the time of a batch.  So nothing here may refer to the state.
        _evaluate_partitions(tx, batch.workspace, index, partitions, until)


def _load_partitions(
    tx: Connection,
    batch: Batch,
    index: SegmentIndex,
    records: Sequence[RecordedEvent],
    messages: Mapping[int, DecodedMessage],
) -> Iterator[tuple[LoadedState, Sequence[EngineInput]]]:
    plan = plan_batch(tx, batch, index, records, messages)
    state = reader.load_state(tx, batch.workspace, index, plan.streams)
    return partition(state, plan.identity_changes, plan.inputs)


def _evaluate_partitions(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    partitions: Iterable[tuple[LoadedState, Sequence[EngineInput]]],
    until: int,
) -> None:
    """Evaluates and writes one partition after the other; the server writes one during the next."""
    for state, inputs in partitions:
        engine = reader.make_engine(index, state)
        engine.evaluate(iterate_and_flush(tx, inputs), until)
        writer.save_state(tx, workspace, index, state, engine)
