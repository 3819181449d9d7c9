"""Dry run of a rule: evaluates it over the past with the same code that evaluates it live.

Each profile that may have triggered it is evaluated from its first event on, with today's segments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain.conditions import referenced_segments
from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.core.ledger_time import Cause
from domain.core.time import from_micros, to_micros
from domain.evaluation.engine import EvaluationEngine
from domain.evaluation.inputs import EngineInput
from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.evaluation.rule_runs import RuleRun, TriggerEvent
from domain.evaluation.segment_index import SegmentIndex
from domain.evaluation.segment_order import CompiledSegment
from domain.events.events import Event
from domain.events.recorded import RecordedEvent
from domain.identity.union_find import UnionFind
from domain.profiles.state import COMMAND_KINDS
from domain.rules.definition import RuleDefinition
from projections.kit.driver import binary_cursor
from projections.runtime.batch import Batch
from projections.segments.backfill import sql
from projections.segments.definitions.index import load_segment_index
from projections.segments.inputs import derive_identity_changes, derive_inputs, read_identity_facts
from projections.segments.state import reader
from projections.segments.tables import member, membership_interval, stream
from projections.timeline.tables import MESSAGE, timeline

MAX_PROFILES = 20_000
"""Maximum profiles that are evaluated.  Ids are digests, so the first of them are a fair sample of all."""

SAMPLE_SIZE = 10
_PROFILES_PER_CHUNK = 200
_DRY_RUN_RULE = "?"
"""Cannot be a rule's id."""

_ACTIVE_STREAMS = f"""
SELECT DISTINCT stream FROM {timeline}
WHERE workspace = %(workspace)s AND position > %(after_position)s AND position <= %(until_position)s
    AND ordinal = {MESSAGE} AND subject IS NOT NULL AND kind <> ALL(%(command_kinds)s)
    AND (%(name)s::text IS NULL OR name = %(name)s)
"""

_ENTERED_OR_LEFT = f"""
SELECT profile FROM {member} WHERE workspace = %(workspace)s AND segment = %(segment)s
    AND entered_at BETWEEN %(after)s AND %(until)s
UNION SELECT profile FROM {membership_interval} WHERE workspace = %(workspace)s AND segment = %(segment)s
    AND (entered_at BETWEEN %(after)s AND %(until)s OR left_at BETWEEN %(after)s AND %(until)s)
"""

_ALL_PROFILES = f"SELECT DISTINCT profile FROM {stream} WHERE workspace = %(workspace)s"

_SYSTEM_EVENTS = f"""
SELECT position, recorded_at, occurred_at, name, properties::text FROM {timeline}
WHERE workspace = %(workspace)s AND position > %(after_position)s AND position <= %(until_position)s
    AND ordinal = {MESSAGE} AND subject IS NULL
ORDER BY position
"""


class DryRunPeriod(NamedTuple):
    """Period of a dry run: ``after`` ≤ t < ``until``, in microseconds, and its positions."""

    after: int
    until: int
    after_position: int
    until_position: int


class HistorySource(NamedTuple):
    """Access to the ledger's history."""

    history: Callable[[Sequence[UUID]], Sequence[RecordedEvent]]
    """Returns all events of streams up to the end of the period, in order."""

    identity_events: Callable[[Iterable[UUID]], Mapping[int, Event]]
    stream_of: Callable[[Identifier], UUID]


class SimulatedRuns(NamedTuple):
    """Result of a dry run."""

    runs: Sequence[RuleRun]
    profiles: int
    """Number of profiles that were evaluated."""

    candidates: int
    """Number of profiles that may have triggered the rule."""

    @property
    def outcome_counts(self) -> Mapping[tuple[str, str], int]:
        """Number of runs by outcome and reason."""
        return Counter((run.outcome, run.reason) for run in self.runs)

    @property
    def fired_per_day(self) -> Mapping[str, int]:
        """Number of runs that fired on each day, UTC."""
        fired = (run for run in self.runs if run.outcome == "fired")
        return Counter(f"{from_micros(run.since.at):%Y-%m-%d}" for run in fired)


def dry_run_rule(
    tx: Connection,
    workspace: int,
    plan: RuleDefinition,
    period: DryRunPeriod,
    source: HistorySource,
) -> SimulatedRuns:
    """Returns the runs of a rule as if it had been enabled at the beginning of a period.

    Raises TimelineBehind unless the timeline has applied all events of the period.
    """
    sql.require_timeline_at(tx, workspace, period.until_position)
    index = _build_index(tx, workspace, plan)
    params = _query_params(workspace, plan, period)
    candidates = reader.sort_ids(tx.exec_driver_sql(_candidates_query(plan), params).scalars())
    is_broadcast = plan.trigger.KEY == "system_event"
    system_events = list(_read_system_events(tx, params)) if is_broadcast else []
    runs: dict[tuple[str, int, str], RuleRun] = {}
    remaining = iter(candidates[:MAX_PROFILES])
    while chunk := list(islice(remaining, _PROFILES_PER_CHUNK)):
        for inputs in _read_inputs(index, workspace, chunk, period, source):
            runs.update(_simulate(index, inputs, system_events, period))
    by_start = sorted(runs.values(), key=lambda run: (run.started, run.key))
    return SimulatedRuns(by_start, min(len(candidates), MAX_PROFILES), len(candidates))


def _build_index(tx: Connection, workspace: int, plan: RuleDefinition) -> SegmentIndex:
    """Returns an index of the rule and of all segments it refers to, directly or indirectly."""
    active = {segment.id: segment for segment in load_segment_index(tx, workspace).order.segments}
    needed: dict[str, CompiledSegment] = {}
    pending = set(chain.from_iterable(map(referenced_segments, plan.conditions)))
    if plan.trigger.segment is not None:
        pending.add(plan.trigger.segment)
    while pending:
        segment = pending.pop()
        if segment in active and segment not in needed:
            needed[segment] = active[segment]
            pending |= referenced_segments(active[segment].condition)
    return SegmentIndex.build(
        needed.values(), rule_index=RuleIndex([ActiveRule(_DRY_RUN_RULE, 0, plan)])
    )


def _query_params(workspace: int, plan: RuleDefinition, period: DryRunPeriod) -> dict[str, Any]:
    name = getattr(plan.trigger, "event", None)
    return {
        **period._asdict(),
        "workspace": workspace,
        "command_kinds": sorted(COMMAND_KINDS),
        "name": sanitise.storable_text(name) if isinstance(name, str) else None,
        "segment": plan.trigger.segment,
    }


def _candidates_query(plan: RuleDefinition) -> str:
    if plan.trigger.KEY == "system_event":
        return _ALL_PROFILES
    return _ACTIVE_STREAMS if plan.trigger.segment is None else _ENTERED_OR_LEFT


def _read_system_events(tx: Connection, params: Mapping[str, Any]) -> Iterator[TriggerEvent]:
    with binary_cursor(tx) as cursor:
        rows = cursor.execute(_SYSTEM_EVENTS, params).fetchall()
    for position, recorded_at, occurred_at, name, properties in rows:
        document = {"name": name, "properties": msgspec.json.decode(properties)}
        cause = Cause(to_micros(recorded_at), position)
        yield TriggerEvent("system_event", name, document, cause, to_micros(occurred_at))


def _read_inputs(
    index: SegmentIndex,
    workspace: int,
    candidates: Sequence[UUID],
    period: DryRunPeriod,
    source: HistorySource,
) -> Iterator[Sequence[EngineInput]]:
    """Yields all inputs of the candidates, together for those that an identity fact links."""
    events = {
        position: event
        for position, event in source.identity_events(candidates).items()
        if position <= period.until_position
    }
    facts, linked = list(read_identity_facts(events, source.stream_of)), UnionFind[UUID]()
    for fact in facts:
        linked.union(*fact.streams)
    streams_by_root = linked.group(
        {*candidates, *chain.from_iterable(fact.streams for fact in facts)}
    )
    for root in reader.sort_ids({linked.find(candidate) for candidate in candidates}):
        records = source.history(streams_by_root[root])
        if not records:
            continue
        batch = Batch(workspace, records, source.stream_of, source.identity_events)
        messages = {message.recorded.position: message for message in batch.messages()}
        recorded_times = {record.position: to_micros(record.recorded_at) for record in records}
        own_facts = [fact for fact in facts if linked.find(next(iter(fact.streams))) == root]
        inputs: list[EngineInput] = [
            *derive_identity_changes(own_facts, recorded_times, source.stream_of).changes,
            *derive_inputs(records, messages, index, {}),
        ]
        yield sorted(inputs, key=lambda entry: entry.cause.position)


def _simulate(
    index: SegmentIndex,
    inputs: Sequence[EngineInput],
    system_events: Sequence[TriggerEvent],
    period: DryRunPeriod,
) -> Mapping[tuple[str, int, str], RuleRun]:
    engine = EvaluationEngine(index, {})
    engine.rule_runner.paused = True
    before = [entry for entry in inputs if entry.cause.at < period.after]
    engine.evaluate(before, period.after - 1)
    engine.rule_runner.paused = False
    rest = [entry for entry in inputs if period.after <= entry.cause.at < period.until]
    for system_event in system_events:
        at, position = system_event.cause
        if period.after <= at < period.until:
            engine.evaluate([entry for entry in rest if entry.cause.position < position], at)
            rest = [entry for entry in rest if entry.cause.position > position]
            engine.broadcast(system_event)
    engine.evaluate(rest, period.until - 1)
    return engine.rule_runner.changed_runs
