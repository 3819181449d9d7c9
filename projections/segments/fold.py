"""How a batch changes who is in which segment, and sets off rules.

A batch is cut where somebody decided about a segment, a computed attribute or a rule, and at what concerns everybody.
The events between are gone through in their order; a decision takes effect at its own position.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from uuid import UUID

from sqlalchemy import Connection

from domain.core.time import to_micros
from domain.evaluation.profile_context import StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.events.events import (
    ComputedAttributeArchived,
    ComputedAttributeDefined,
    ManualListChanged,
    MessageEvent,
    SegmentArchived,
    SegmentDefined,
    SystemEventOccurred,
)
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleDefined, RuleStatusChanged
from projections.kit.driver import iterate_and_flush, pipeline
from projections.runtime.batch import Batch, DecodedMessage
from projections.segments import broadcast
from projections.segments.definitions import rules as automation
from projections.segments.definitions import segments as definitions
from projections.segments.inputs import (
    RecordedIdentityFact,
    derive_identity_changes,
    derive_inputs,
    read_identity_facts,
    streams_in_identity_events,
)
from projections.segments.state import partitioning, reader, rule_runs, writer

_SEGMENT_EVENTS = (
    SegmentDefined,
    SegmentArchived,
    ComputedAttributeDefined,
    ComputedAttributeArchived,
)
_RULE_EVENTS = (RuleDefined, RuleStatusChanged)
_DEFINITION_EVENTS = (*_SEGMENT_EVENTS, *_RULE_EVENTS)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in a batch."""
    messages = {it.recorded.position: it for it in batch.messages()}
    rules = definitions.load_segment_index(tx, batch.workspace)

    def is_barrier(recorded: RecordedEvent) -> bool:
        if isinstance(recorded.event, SystemEventOccurred):
            return broadcast.has_listeners(rules, messages[recorded.position])
        return isinstance(recorded.event, _DEFINITION_EVENTS)

    for run in _split_at_barriers(batch.records, is_barrier):
        event, clock = run[0].event, to_micros(run[0].recorded_at)
        if isinstance(event, _SEGMENT_EVENTS):
            sweep(tx, batch.workspace, clock)
            rules = definitions.apply_definition_event(tx, batch.workspace, run[0], event)
        elif isinstance(event, _RULE_EVENTS):
            sweep(tx, batch.workspace, clock)
            rules = automation.apply_rule_event(tx, batch.workspace, run[0], event)
        elif is_barrier(run[0]):
            sweep(tx, batch.workspace, clock)
            broadcast.broadcast_event(tx, batch.workspace, rules, messages[run[0].position])
        else:
            _evaluate(tx, batch, rules, run, messages)
            rule_runs.mark_fired(tx, batch.workspace, run)


def sweep(tx: Connection, workspace: int, clock: int) -> None:
    """Let time go by until the clock, in microseconds since 1970 UTC."""
    due = reader.due_profiles(tx, workspace, clock)
    if not due:
        return
    rules = definitions.load_segment_index(tx, workspace)
    writer.update_profiles(tx, workspace, rules, due, lambda it: it.advance_time_to(clock))


def _split_at_barriers(
    records: Sequence[RecordedEvent], is_barrier: Callable[[RecordedEvent], bool]
) -> Iterator[Sequence[RecordedEvent]]:
    """Cut the records before and after what concerns everybody."""
    start = 0
    for at, recorded in enumerate(records):
        if is_barrier(recorded):
            if start < at:
                yield records[start:at]
            yield records[at : at + 1]
            start = at + 1
    if start < len(records):
        yield records[start:]


def _evaluate(
    tx: Connection,
    batch: Batch,
    index: SegmentIndex,
    records: Sequence[RecordedEvent],
    messages: Mapping[int, DecodedMessage],
) -> None:
    """Go through what happens to all whom the events touch, or for whom something is due by then."""
    workspace, until = batch.workspace, to_micros(records[-1].recorded_at)
    facts = _load_identity_facts(batch, records)
    became = (
        list(derive_identity_changes(facts, _recorded_times(records), batch.stream_of))
        if facts
        else []
    )
    due = reader.due_profiles(tx, workspace, until)
    named = chain.from_iterable(it.owners for it in became)
    streams = reader.load_streams(tx, workspace, {*_streams_of(records), *named}, due)
    steps = list(derive_inputs(records, messages, index, streams))
    touched = {*chain.from_iterable(it.owners for it in became), *(it.stream for it in steps)}
    kept = reader.load_state(
        tx, workspace, index, _streams_of_affected_profiles(streams, touched, due)
    )
    with pipeline(tx):
        for some, what in partitioning.partition(kept, became, steps):
            people = reader.make_evaluator(index, some)
            people.process(iterate_and_flush(tx, what), until)
            writer.save_state(tx, workspace, index, some, people)
        # Taken apart while the server writes the last of it: that is a thirtieth of all the work.
        del kept, streams, steps, some, what, people


def _streams_of_affected_profiles(
    streams: Mapping[UUID, StreamState], touched: Collection[UUID], due_profiles: Iterable[UUID]
) -> dict[UUID, StreamState]:
    """Return all streams of those whose are touched, and of those for whom something is due."""
    known = filter(None, map(streams.get, touched))
    persons = {it.owner.profile_id for it in known}.union(due_profiles)
    return {id_: it for id_, it in streams.items() if it.owner.profile_id in persons}


def _load_identity_facts(
    batch: Batch, records: Sequence[RecordedEvent]
) -> Sequence[RecordedIdentityFact]:
    """Return all that was said by now about who those may be of whom the events say something."""
    told = streams_in_identity_events(records, batch.stream_of)
    if not told:
        return ()
    last = records[-1].position
    events = {at: it for at, it in batch.identity_events_for(told).items() if at <= last}
    return list(read_identity_facts(events, batch.stream_of))


def _streams_of(records: Sequence[RecordedEvent]) -> set[UUID]:
    """Return the streams of people that the events are of."""
    return {
        it.stream
        for it in records
        if isinstance(it.event, ManualListChanged)
        or (isinstance(it.event, MessageEvent) and it.event.subject is not None)
    }


def _recorded_times(records: Sequence[RecordedEvent]) -> Mapping[int, int]:
    return {it.position: to_micros(it.recorded_at) for it in records}
