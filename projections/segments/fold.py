"""How a batch changes who is in which segment, and sets off rules.

A batch is cut where somebody decided about a segment, a computed attribute or a rule, and at what concerns everybody.
The events between are sorted into households,
which are gone through one by one; a decision takes effect at its own position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from domain.membership import Became, Step
from domain.recorded import Recorded
from domain.rules import Rules
from projections.batch import Batch, Message
from projections.segments import announcing, automation, definitions, runs, saved, stored
from projections.segments.households import Attested, Groups, attested, becoming, steps_of, told_in

_DECISIONS = (SegmentDefined, SegmentArchived, AttributeDefined, AttributeArchived)
_RULES = (RuleDefined, RuleDecree)


def apply(tx: Connection, batch: Batch) -> None:
    """Take in a batch."""
    messages = {it.recorded.position: it for it in batch.messages()}
    rules = definitions.in_effect(tx, batch.workspace)

    def concerns_everybody(recorded: Recorded) -> bool:
        if isinstance(recorded.event, SystemOccurred):
            return announcing.is_heard(rules, messages[recorded.position])
        return isinstance(recorded.event, (*_DECISIONS, *_RULES))

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
    """Go through all households that the events touch, or for whom something is due by then."""
    workspace, until = batch.workspace, microseconds(records[-1].recorded_at)
    became = list(becoming(_facts(batch, records), _clocks(records), batch.stream_of))
    due = stored.persons_due(tx, workspace, until)
    named = chain.from_iterable(it.whose for it in became)
    streams = stored.streams_of(tx, workspace, {*_met(records), *named}, due)
    steps = list(steps_of(records, messages, rules, streams))
    groups = _groups(became, streams)
    by_group: dict[UUID, list[Step]] = {groups.root(it): [] for it in due}
    for each in became:
        by_group.setdefault(groups.root(next(iter(each.whose))), []).append(each)
    for id_, step in steps:
        by_group.setdefault(groups.root(id_), []).append(step)
    theirs = groups.sorted(streams)
    touched = {id_: streams[id_] for root in by_group for id_ in theirs.get(root, ())}
    kept = stored.load(tx, workspace, rules, touched)
    households = []
    for root in stored.in_order(by_group):
        household = stored.household(rules, kept, theirs.get(root, ()))
        household.go_through(sorted(by_group[root], key=_position), until)
        households.append(household)
    saved.save(tx, workspace, rules, kept, households)


def _position(step: Step) -> int:
    return step.at.by


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


def _groups(became: Sequence[Became], streams: Mapping[UUID, Stream]) -> Groups:
    """Sort those who may come to be one person with each other."""
    groups = Groups()
    for id_, stream in streams.items():
        if id_.int != stream.whose.person.int:  # two UUIDs are compared in Python
            groups.join((id_, stream.whose.person))
    for each in became:
        groups.join(each.whose)
    return groups
