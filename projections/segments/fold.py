"""Applies batches: updates segment memberships and runs automation rules.

A batch is split at barriers: definition events, and system events that a rule listens to, because each of
them can concern every profile.  The events between two barriers are evaluated in the order of the ledger;
a definition takes effect at its own position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.engine import EvaluationEngine
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
from projections.kit.driver import pipeline, slices_with_flush
from projections.runtime.batch import Batch, DecodedMessage
from projections.segments import broadcast
from projections.segments.batch_plan import load_partitions, plan_batch
from projections.segments.definitions.apply import apply_definition_event
from projections.segments.definitions.index import load_segment_index
from projections.segments.definitions.rules import apply_rule_event
from projections.segments.identity_changes import save_claim_limits
from projections.segments.state import reader, writer
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
        event = first.event
        if not is_barrier(first):
            _apply_records(tx, batch, index, records, messages)
            writer.save_fired(tx, batch.workspace, records)
            continue
        sweep(tx, batch.workspace, to_micros(first.recorded_at))
        if isinstance(event, _SEGMENT_EVENTS):
            index = apply_definition_event(tx, batch.workspace, first, event)
        elif isinstance(event, _RULE_EVENTS):
            index = apply_rule_event(tx, batch.workspace, first, event)
        else:
            broadcast.broadcast_event(tx, batch.workspace, index, messages[first.position])


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
    """Applies records without a barrier, and the timers that are due by the last of them.

    Plans, loads, evaluates and writes: of the state, one part after the other.
    """
    plan = plan_batch(tx, batch, index, records, messages)
    until, sweeps_rest, claim_limits = plan.until, plan.sweeps_rest, plan.claim_limits
    partitions = load_partitions(tx, batch.workspace, index, plan)
    del plan
    with pipeline(tx):
        # Its return frees the state while the server still writes the last partition: a thirtieth of
        # the time of a batch.  So nothing here may refer to the state.
        _evaluate_partitions(tx, batch.workspace, index, partitions, until)
    save_claim_limits(tx, batch.workspace, claim_limits)
    if sweeps_rest:
        sweep(tx, batch.workspace, until)


def _evaluate_partitions(
    tx: Connection,
    workspace: int,
    index: SegmentIndex,
    partitions: Iterable[tuple[LoadedState, Sequence[EngineInput]]],
    until: int,
) -> None:
    """Evaluates and writes one partition after the other; the server writes one during the next."""
    for state, inputs in partitions:
        engine = EvaluationEngine(index, state.streams, state.membership_states, state.waiting_runs)
        for some_inputs in slices_with_flush(tx, inputs):
            engine.process(some_inputs)
        engine.advance_time_to(until)
        writer.save_state(tx, workspace, index, state, engine)
