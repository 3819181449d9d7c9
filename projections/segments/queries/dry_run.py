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
from domain.core.ledger_time import Cause
from domain.core.time import from_micros, to_micros
from domain.evaluation.engine import Evaluator
from domain.evaluation.inputs import EngineInput
from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.evaluation.rule_runs import RuleRun, TriggerEvent
from domain.evaluation.segment_index import CompiledSegment, SegmentIndex
from domain.events.events import Event
from domain.events.recorded import RecordedEvent
from domain.profiles.state import COMMAND_KINDS
from domain.rules.definition import RuleDefinition
from domain.segments.segment import referenced_segments
from projections.kit.driver import binary_cursor
from projections.runtime.batch import Batch
from projections.segments.backfill import sql
from projections.segments.definitions.segments import load_segment_index
from projections.segments.groups import StreamUnionFind
from projections.segments.inputs import derive_identity_changes, derive_inputs, read_identity_facts
from projections.segments.state import reader
from projections.segments.tables import member, membership_interval, stream
from projections.timeline.tables import MESSAGE, timeline

MAX_PROFILES = 20_000
"""People who are gone through.  Ids are digests, so that the first of them are a fair sample of all."""

SAMPLE_SIZE = 10
_PROFILES_PER_CHUNK = 200
_DRY_RUN_RULE = "?"
"""No rule's id."""

_ACTIVE = f"""
SELECT DISTINCT stream FROM {timeline}
WHERE workspace = %(workspace)s AND position > %(after)s AND position <= %(until)s
    AND ordinal = {MESSAGE} AND subject IS NOT NULL AND kind <> ALL(%(decisions)s)
    AND (%(name)s::text IS NULL OR name = %(name)s)
"""

_ENTERED_OR_LEFT = f"""
SELECT person FROM {member} WHERE workspace = %(workspace)s AND segment = %(segment)s
    AND entered_at BETWEEN %(from)s AND %(to)s
UNION SELECT person FROM {membership_interval} WHERE workspace = %(workspace)s AND segment = %(segment)s
    AND (entered_at BETWEEN %(from)s AND %(to)s OR left_at BETWEEN %(from)s AND %(to)s)
"""

_ALL_PROFILES = f"SELECT DISTINCT person FROM {stream} WHERE workspace = %(workspace)s"

_SYSTEM_EVENTS = f"""
SELECT position, recorded_at, occurred_at, name, properties::text FROM {timeline}
WHERE workspace = %(workspace)s AND position > %(after)s AND position <= %(until)s
    AND ordinal = {MESSAGE} AND subject IS NULL
ORDER BY position
"""


class DryRunPeriod(NamedTuple):
    """The time that is asked about: ``after`` ≤ t < ``until``, in microseconds; and its positions."""

    after: int
    until: int
    after_position: int
    until_position: int


class HistorySource(NamedTuple):
    """Where the past is read."""

    history: Callable[[Sequence[UUID]], Sequence[RecordedEvent]]
    """All events of streams up to the end of the span, in order."""

    identity_events: Callable[[Iterable[UUID]], Mapping[int, Event]]
    stream_of: Callable[[Identifier], UUID]


class SimulatedRuns(NamedTuple):
    """What would have come of it."""

    runs: Sequence[RuleRun]
    profiles: int
    """Who were gone through."""

    candidates: int
    """Who may have set it off."""

    @property
    def outcome_counts(self) -> Mapping[tuple[str, str], int]:
        """How many came to what, for what reason."""
        return Counter((it.outcome, it.reason) for it in self.runs)

    @property
    def fired_per_day(self) -> Mapping[str, int]:
        """How many fired on each day, UTC."""
        fired = (it for it in self.runs if it.outcome == "fired")
        return Counter(f"{from_micros(it.since.at):%Y-%m-%d}" for it in fired)


def dry_run_rule(
    tx: Connection,
    workspace: int,
    plan: RuleDefinition,
    period: DryRunPeriod,
    source: HistorySource,
) -> SimulatedRuns:
    """Return what a rule would have done that was enabled at the beginning of a span.

    Raises TimelineBehind if the timeline has not taken it all yet.
    """
    sql.require_timeline_at(tx, workspace, period.until_position)
    rules = _build_index(tx, workspace, plan)
    asked = _query_params(workspace, plan, period)
    candidates = reader.sort_ids(tx.exec_driver_sql(_candidates_query(plan), asked).scalars())
    heard = list(_read_system_events(tx, asked)) if plan.trigger.KEY == "system_event" else []
    runs: dict[tuple[str, int, str], RuleRun] = {}
    waiting = iter(candidates[:MAX_PROFILES])
    while some := list(islice(waiting, _PROFILES_PER_CHUNK)):
        for steps in _read_inputs(rules, workspace, some, period, source):
            runs.update(_simulate(rules, steps, heard, period))
    found = sorted(runs.values(), key=lambda it: (it.started, it.key))
    return SimulatedRuns(found, min(len(candidates), MAX_PROFILES), len(candidates))


def _build_index(tx: Connection, workspace: int, plan: RuleDefinition) -> SegmentIndex:
    """Return the rule, with the segments that it needs and those that these need."""
    there = {it.id: it for it in load_segment_index(tx, workspace).segments}
    needed: dict[str, CompiledSegment] = {}
    asked = set(chain.from_iterable(map(referenced_segments, plan.conditions)))
    if plan.trigger.segment is not None:
        asked.add(plan.trigger.segment)
    while asked:
        segment = asked.pop()
        if segment in there and segment not in needed:
            needed[segment] = there[segment]
            asked |= referenced_segments(there[segment].condition)
    return SegmentIndex(needed.values(), rule_index=RuleIndex([ActiveRule(_DRY_RUN_RULE, 0, plan)]))


def _query_params(workspace: int, plan: RuleDefinition, period: DryRunPeriod) -> dict[str, Any]:
    name = getattr(plan.trigger, "event", None)
    return {
        "workspace": workspace,
        "after": period.after_position,
        "until": period.until_position,
        "from": period.after,
        "to": period.until,
        "decisions": sorted(COMMAND_KINDS),
        "name": sanitise.storable_text(name) if isinstance(name, str) else None,
        "segment": plan.trigger.segment,
    }


def _candidates_query(plan: RuleDefinition) -> str:
    if plan.trigger.KEY == "system_event":
        return _ALL_PROFILES
    return _ACTIVE if plan.trigger.segment is None else _ENTERED_OR_LEFT


def _read_system_events(tx: Connection, params: Mapping[str, Any]) -> Iterator[TriggerEvent]:
    with binary_cursor(tx) as ask:
        rows = ask.execute(_SYSTEM_EVENTS, params).fetchall()
    for position, recorded_at, occurred_at, name, properties in rows:
        document = {"name": name, "properties": msgspec.json.decode(properties)}
        at = Cause(to_micros(recorded_at), position)
        yield TriggerEvent("system_event", name, document, at, to_micros(occurred_at))


def _read_inputs(
    index: SegmentIndex,
    workspace: int,
    candidates: Sequence[UUID],
    period: DryRunPeriod,
    source: HistorySource,
) -> Iterator[Sequence[EngineInput]]:
    """Give out all that happened to the streams, those together that may be one person."""
    events = {
        at: it
        for at, it in source.identity_events(candidates).items()
        if at <= period.until_position
    }
    facts, groups = list(read_identity_facts(events, source.stream_of)), StreamUnionFind()
    for fact in facts:
        groups.union(fact.streams)
    whole = groups.group_by_root({*candidates, *chain.from_iterable(it.streams for it in facts)})
    for root in reader.sort_ids({groups.find(it) for it in candidates}):
        records = source.history(whole[root])
        if not records:
            continue
        batch = Batch(workspace, records, source.stream_of, source.identity_events)
        messages = {it.recorded.position: it for it in batch.messages()}
        clocks = {it.position: to_micros(it.recorded_at) for it in records}
        theirs = [it for it in facts if groups.find(next(iter(it.streams))) == root]
        steps: list[EngineInput] = list(derive_identity_changes(theirs, clocks, source.stream_of))
        steps += derive_inputs(records, messages, index, {})
        yield sorted(steps, key=lambda it: it.cause.position)


def _simulate(
    index: SegmentIndex,
    inputs: Sequence[EngineInput],
    system_events: Sequence[TriggerEvent],
    period: DryRunPeriod,
) -> Mapping[tuple[str, int, str], RuleRun]:
    people = Evaluator(index, {})
    people.rule_runner.paused = True
    before = [it for it in inputs if it.cause.at < period.after]
    people.process(before, period.after - 1)
    people.rule_runner.paused = False
    rest = [it for it in inputs if period.after <= it.cause.at < period.until]
    for occasion in system_events:
        if period.after <= occasion.cause.at < period.until:
            people.process(
                [it for it in rest if it.cause.position < occasion.cause.position],
                occasion.cause.at,
            )
            rest = [it for it in rest if it.cause.position > occasion.cause.position]
            people.broadcast(occasion)
    people.process(rest, period.until - 1)
    return people.rule_runner.changed_runs
