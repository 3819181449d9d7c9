"""What a rule would have done, had it been there: over the past, by the very code that decides the present.

Whoever may have set it off is gone through from their first event on, by the segments as they are now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.core.ledger_time import Since
from domain.core.time import from_micros, to_micros
from domain.evaluation.engine import Membership
from domain.evaluation.inputs import Step
from domain.evaluation.rule_index import Effective, InEffect
from domain.evaluation.rule_runs import Occasion, Run
from domain.evaluation.segment_index import Rule, Rules
from domain.events.events import Event
from domain.events.recorded import Recorded
from domain.profiles.state import DECISIONS
from domain.rules.definition import Plan
from domain.segments.segment import references
from projections.kit.driver import cursor
from projections.runtime.batch import Batch
from projections.segments.backfill import sql
from projections.segments.definitions.segments import in_effect
from projections.segments.groups import Groups
from projections.segments.inputs import attested, becoming, steps_of
from projections.segments.state import reader
from projections.segments.tables import member, stay, stream
from projections.timeline.tables import MESSAGE, timeline

MOST = 20_000
"""People who are gone through.  Ids are digests, so that the first of them are a fair sample of all."""

SAMPLE = 10
_AT_ONCE = 200
_RULE = "?"
"""No rule's id."""

_ACTIVE = f"""
SELECT DISTINCT stream FROM {timeline}
WHERE workspace = %(workspace)s AND position > %(after)s AND position <= %(until)s
    AND ordinal = {MESSAGE} AND subject IS NOT NULL AND kind <> ALL(%(decisions)s)
    AND (%(name)s::text IS NULL OR name = %(name)s)
"""

_MOVED = f"""
SELECT person FROM {member} WHERE workspace = %(workspace)s AND segment = %(segment)s
    AND entered_at BETWEEN %(from)s AND %(to)s
UNION SELECT person FROM {stay} WHERE workspace = %(workspace)s AND segment = %(segment)s
    AND (entered_at BETWEEN %(from)s AND %(to)s OR left_at BETWEEN %(from)s AND %(to)s)
"""

_EVERYBODY = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %(workspace)s"

_ANNOUNCED = f"""
SELECT position, recorded_at, occurred_at, name, properties::text FROM {timeline}
WHERE workspace = %(workspace)s AND position > %(after)s AND position <= %(until)s
    AND ordinal = {MESSAGE} AND subject IS NULL
ORDER BY position
"""


class Span(NamedTuple):
    """The time that is asked about: ``after`` ≤ t < ``until``, in microseconds; and its positions."""

    after: int
    until: int
    after_position: int
    until_position: int


class Ledger(NamedTuple):
    """Where the past is read."""

    history: Callable[[Sequence[UUID]], Sequence[Recorded]]
    """All events of streams up to the end of the span, in order."""

    attested: Callable[[Iterable[UUID]], Mapping[int, Event]]
    stream_of: Callable[[Identifier], UUID]


class Rehearsed(NamedTuple):
    """What would have come of it."""

    runs: Sequence[Run]
    people: int
    """Who were gone through."""

    of: int
    """Who may have set it off."""

    @property
    def outcomes(self) -> Mapping[tuple[str, str], int]:
        """How many came to what, for what reason."""
        return Counter((it.outcome, it.reason) for it in self.runs)

    @property
    def days(self) -> Mapping[str, int]:
        """How many fired on each day, UTC."""
        fired = (it for it in self.runs if it.outcome == "fired")
        return Counter(f"{from_micros(it.since.at):%Y-%m-%d}" for it in fired)


def rehearse(tx: Connection, workspace: int, plan: Plan, span: Span, ledger: Ledger) -> Rehearsed:
    """Return what a rule would have done that was enabled at the beginning of a span.

    Raises TimelineBehind if the timeline has not taken it all yet.
    """
    sql.check(tx, workspace, span.until_position)
    rules = _rules(tx, workspace, plan)
    asked = _asked(workspace, plan, span)
    candidates = reader.in_order(tx.exec_driver_sql(_candidates(plan), asked).scalars())
    heard = list(_occasions(tx, asked)) if plan.trigger.KEY == "system_event" else []
    runs: dict[tuple[str, int, str], Run] = {}
    waiting = iter(candidates[:MOST])
    while some := list(islice(waiting, _AT_ONCE)):
        for steps in _lives(rules, workspace, some, span, ledger):
            runs.update(_go_through(rules, steps, heard, span))
    found = sorted(runs.values(), key=lambda it: (it.set_off, it.key))
    return Rehearsed(found, min(len(candidates), MOST), len(candidates))


def _rules(tx: Connection, workspace: int, plan: Plan) -> Rules:
    """Return the rule, with the segments that it needs and those that these need."""
    there = {it.segment: it for it in in_effect(tx, workspace).rules}
    needed: dict[str, Rule] = {}
    asked = set(chain.from_iterable(map(references, plan.conditions)))
    if plan.trigger.segment is not None:
        asked.add(plan.trigger.segment)
    while asked:
        segment = asked.pop()
        if segment in there and segment not in needed:
            needed[segment] = there[segment]
            asked |= references(there[segment].condition)
    return Rules(needed.values(), effective=Effective([InEffect(_RULE, 0, plan)]))


def _asked(workspace: int, plan: Plan, span: Span) -> dict[str, Any]:
    name = getattr(plan.trigger, "event", None)
    return {
        "workspace": workspace,
        "after": span.after_position,
        "until": span.until_position,
        "from": span.after,
        "to": span.until,
        "decisions": sorted(DECISIONS),
        "name": sanitise.text(name) if isinstance(name, str) else None,
        "segment": plan.trigger.segment,
    }


def _candidates(plan: Plan) -> str:
    if plan.trigger.KEY == "system_event":
        return _EVERYBODY
    return _ACTIVE if plan.trigger.segment is None else _MOVED


def _occasions(tx: Connection, asked: Mapping[str, Any]) -> Iterator[Occasion]:
    with cursor(tx) as ask:
        rows = ask.execute(_ANNOUNCED, asked).fetchall()
    for position, recorded_at, occurred_at, name, properties in rows:
        document = {"name": name, "properties": msgspec.json.decode(properties)}
        at = Since(to_micros(recorded_at), position)
        yield Occasion("system_event", name, document, at, to_micros(occurred_at))


def _lives(
    rules: Rules, workspace: int, candidates: Sequence[UUID], span: Span, ledger: Ledger
) -> Iterator[Sequence[Step]]:
    """Give out all that happened to the streams, those together that may be one person."""
    events = {at: it for at, it in ledger.attested(candidates).items() if at <= span.until_position}
    facts, groups = list(attested(events, ledger.stream_of)), Groups()
    for fact in facts:
        groups.join(fact.streams)
    whole = groups.sorted({*candidates, *chain.from_iterable(it.streams for it in facts)})
    for root in reader.in_order({groups.root(it) for it in candidates}):
        records = ledger.history(whole[root])
        if not records:
            continue
        batch = Batch(workspace, records, ledger.stream_of, ledger.attested)
        messages = {it.recorded.position: it for it in batch.messages()}
        clocks = {it.position: to_micros(it.recorded_at) for it in records}
        theirs = [it for it in facts if groups.root(next(iter(it.streams))) == root]
        steps: list[Step] = list(becoming(theirs, clocks, ledger.stream_of))
        steps += steps_of(records, messages, rules, {})
        yield sorted(steps, key=lambda it: it.at.by)


def _go_through(
    rules: Rules, steps: Sequence[Step], heard: Sequence[Occasion], span: Span
) -> Mapping[tuple[str, int, str], Run]:
    people = Membership(rules, {})
    people.acting.is_asleep = True
    before = [it for it in steps if it.at.at < span.after]
    people.go_through(before, span.after - 1)
    people.acting.is_asleep = False
    rest = [it for it in steps if span.after <= it.at.at < span.until]
    for occasion in heard:
        if span.after <= occasion.at.at < span.until:
            people.go_through([it for it in rest if it.at.by < occasion.at.by], occasion.at.at)
            rest = [it for it in rest if it.at.by > occasion.at.by]
            people.announce(occasion)
    people.go_through(rest, span.until - 1)
    return people.acting.changed
