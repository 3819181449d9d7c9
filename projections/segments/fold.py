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
from domain.evaluation.profile_context import Stream
from domain.evaluation.segment_index import Rules
from domain.events.events import (
    AttributeArchived,
    AttributeDefined,
    Listed,
    MessageEvent,
    SegmentArchived,
    SegmentDefined,
    SystemOccurred,
)
from domain.events.recorded import Recorded
from domain.events.rule_events import RuleDecree, RuleDefined
from projections.kit.driver import pipeline, pumped
from projections.runtime.batch import Batch, Message
from projections.segments import broadcast
from projections.segments.definitions import rules as automation
from projections.segments.definitions import segments as definitions
from projections.segments.inputs import Attested, attested, becoming, steps_of, told_in
from projections.segments.state import partitioning, reader, rule_runs, writer

_DECISIONS = (SegmentDefined, SegmentArchived, AttributeDefined, AttributeArchived)
_RULES = (RuleDefined, RuleDecree)
_DECIDED = (*_DECISIONS, *_RULES)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in a batch."""
    messages = {it.recorded.position: it for it in batch.messages()}
    rules = definitions.in_effect(tx, batch.workspace)

    def concerns_everybody(recorded: Recorded) -> bool:
        if isinstance(recorded.event, SystemOccurred):
            return broadcast.is_heard(rules, messages[recorded.position])
        return isinstance(recorded.event, _DECIDED)

    for run in _runs(batch.records, concerns_everybody):
        event, clock = run[0].event, to_micros(run[0].recorded_at)
        if isinstance(event, _DECISIONS):
            sweep(tx, batch.workspace, clock)
            rules = definitions.decide(tx, batch.workspace, run[0], event)
        elif isinstance(event, _RULES):
            sweep(tx, batch.workspace, clock)
            rules = automation.decide(tx, batch.workspace, run[0], event)
        elif concerns_everybody(run[0]):
            sweep(tx, batch.workspace, clock)
            broadcast.announce(tx, batch.workspace, rules, messages[run[0].position])
        else:
            _take(tx, batch, rules, run, messages)
            rule_runs.mark(tx, batch.workspace, run)


def sweep(tx: Connection, workspace: int, clock: int) -> None:
    """Let time go by until the clock, in microseconds since 1970 UTC."""
    due = reader.persons_due(tx, workspace, clock)
    if not due:
        return
    rules = definitions.in_effect(tx, workspace)
    writer.change(tx, workspace, rules, due, lambda it: it.wait(clock))


def _runs(
    records: Sequence[Recorded], concerns_everybody: Callable[[Recorded], bool]
) -> Iterator[Sequence[Recorded]]:
    """Cut the records before and after what concerns everybody."""
    start = 0
    for at, recorded in enumerate(records):
        if concerns_everybody(recorded):
            if start < at:
                yield records[start:at]
            yield records[at : at + 1]
            start = at + 1
    if start < len(records):
        yield records[start:]


def _take(
    tx: Connection,
    batch: Batch,
    rules: Rules,
    records: Sequence[Recorded],
    messages: Mapping[int, Message],
) -> None:
    """Go through what happens to all whom the events touch, or for whom something is due by then."""
    workspace, until = batch.workspace, to_micros(records[-1].recorded_at)
    facts = _facts(batch, records)
    became = list(becoming(facts, _clocks(records), batch.stream_of)) if facts else []
    due = reader.persons_due(tx, workspace, until)
    named = chain.from_iterable(it.whose for it in became)
    streams = reader.streams_of(tx, workspace, {*_met(records), *named}, due)
    steps = list(steps_of(records, messages, rules, streams))
    touched = {*chain.from_iterable(it.whose for it in became), *(it.stream for it in steps)}
    kept = reader.load(tx, workspace, rules, _theirs(streams, touched, due))
    with pipeline(tx):
        for some, what in partitioning.shares(kept, became, steps):
            people = reader.membership(rules, some)
            people.go_through(pumped(tx, what), until)
            writer.save(tx, workspace, rules, some, people)
        # Taken apart while the server writes the last of it: that is a thirtieth of all the work.
        del kept, streams, steps, some, what, people


def _theirs(
    streams: Mapping[UUID, Stream], touched: Collection[UUID], due: Iterable[UUID]
) -> dict[UUID, Stream]:
    """Return all streams of those whose are touched, and of those for whom something is due."""
    known = filter(None, map(streams.get, touched))
    persons = {it.whose.person for it in known}.union(due)
    return {id_: it for id_, it in streams.items() if it.whose.person in persons}


def _facts(batch: Batch, records: Sequence[Recorded]) -> Sequence[Attested]:
    """Return all that was said by now about who those may be of whom the events say something."""
    told = told_in(records, batch.stream_of)
    if not told:
        return ()
    last = records[-1].position
    events = {at: it for at, it in batch.attested(told).items() if at <= last}
    return list(attested(events, batch.stream_of))


def _met(records: Sequence[Recorded]) -> set[UUID]:
    """Return the streams of people that the events are of."""
    return {
        it.stream
        for it in records
        if isinstance(it.event, Listed)
        or (isinstance(it.event, MessageEvent) and it.event.subject is not None)
    }


def _clocks(records: Sequence[Recorded]) -> Mapping[int, int]:
    return {it.position: to_micros(it.recorded_at) for it in records}
