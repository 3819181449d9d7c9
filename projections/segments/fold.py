"""How a batch changes who is in which segment, and sets off rules.

A batch is cut where somebody decided about a segment, a computed attribute or a rule, and at what concerns everybody.
The events between are gone through in their order; a decision takes effect at its own position.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from uuid import UUID

from sqlalchemy import Connection

from domain.automation.events import RuleDecree, RuleDefined
from domain.conditions.times import microseconds
from domain.events import (
    AttributeArchived,
    AttributeDefined,
    Listed,
    MessageEvent,
    SegmentArchived,
    SegmentDefined,
    SystemOccurred,
)
from domain.known import Stream
from domain.recorded import Recorded
from domain.rules import Rules
from projections.batch import Batch, Message
from projections.segments import announcing, automation, definitions, parts, runs, saved, stored
from projections.segments.driver import pipeline, pumped
from projections.segments.steps import Attested, attested, becoming, steps_of, told_in

_DECISIONS = (SegmentDefined, SegmentArchived, AttributeDefined, AttributeArchived)
_RULES = (RuleDefined, RuleDecree)
_DECIDED = (*_DECISIONS, *_RULES)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in a batch."""
    messages = {it.recorded.position: it for it in batch.messages()}
    rules = definitions.in_effect(tx, batch.workspace)

    def concerns_everybody(recorded: Recorded) -> bool:
        if isinstance(recorded.event, SystemOccurred):
            return announcing.is_heard(rules, messages[recorded.position])
        return isinstance(recorded.event, _DECIDED)

    for run in _runs(batch.records, concerns_everybody):
        event, clock = run[0].event, microseconds(run[0].recorded_at)
        if isinstance(event, _DECISIONS):
            sweep(tx, batch.workspace, clock)
            rules = definitions.decide(tx, batch.workspace, run[0], event)
        elif isinstance(event, _RULES):
            sweep(tx, batch.workspace, clock)
            rules = automation.decide(tx, batch.workspace, run[0], event)
        elif concerns_everybody(run[0]):
            sweep(tx, batch.workspace, clock)
            announcing.announce(tx, batch.workspace, rules, messages[run[0].position])
        else:
            _take(tx, batch, rules, run, messages)
            runs.mark(tx, batch.workspace, run)


def sweep(tx: Connection, workspace: int, clock: int) -> None:
    """Let time go by until the clock, in microseconds since 1970 UTC."""
    due = stored.persons_due(tx, workspace, clock)
    if not due:
        return
    rules = definitions.in_effect(tx, workspace)
    saved.change(tx, workspace, rules, due, lambda it: it.wait(clock))


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
    workspace, until = batch.workspace, microseconds(records[-1].recorded_at)
    facts = _facts(batch, records)
    became = list(becoming(facts, _clocks(records), batch.stream_of)) if facts else []
    due = stored.persons_due(tx, workspace, until)
    named = chain.from_iterable(it.whose for it in became)
    streams = stored.streams_of(tx, workspace, {*_met(records), *named}, due)
    steps = list(steps_of(records, messages, rules, streams))
    touched = {*chain.from_iterable(it.whose for it in became), *(it.stream for it in steps)}
    kept = stored.load(tx, workspace, rules, _theirs(streams, touched, due))
    with pipeline(tx):
        for some, what in parts.shares(kept, became, steps):
            people = stored.membership(rules, some)
            people.go_through(pumped(tx, what), until)
            saved.save(tx, workspace, rules, some, people)
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
    return {it.position: microseconds(it.recorded_at) for it in records}
