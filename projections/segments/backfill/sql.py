"""What would be remembered by now if it had been looked at from the start: from the timeline's rows.

The timeline has an index of event names, which the ledger has not.  Its rows of messages are written
once, with their positions, so that what it says up to one of them does not depend on when it is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Connection

from domain.conditions import EventView
from domain.conditions.events import EventCountCondition, OccurrenceCondition
from domain.conditions.summary import Summarised
from domain.core import sanitise
from domain.core.errors import NotProjectedYet
from domain.core.ledger_time import Cause
from domain.core.time import from_micros
from domain.evaluation.accumulators import Accumulator, AccumulatorValue, EventAccumulator
from domain.profiles.state import COMMAND_KINDS
from projections.kit.driver import binary_cursor
from projections.runtime import checkpoint
from projections.timeline.tables import MESSAGE, NAME, VERSION, timeline

FETCH_SIZE = 10_000
"""Rows fetched together."""

_EVENTS = f"""
SELECT stream, (extract(epoch FROM occurred_at) * 1000000)::bigint, uuid_send(id), kind, name,
    properties::text, (extract(epoch FROM recorded_at) * 1000000)::bigint
FROM {timeline}
WHERE workspace = %(workspace)s {{which}} AND position <= %(position)s
    AND occurred_at <= %(clock)s AND ordinal = {MESSAGE} AND subject IS NOT NULL
    AND kind <> ALL(%(decisions)s)
"""

_TIMES = f"""
SELECT stream, {{gather}}(at) FILTER (WHERE at <= %(now)s), array_agg(at) FILTER (WHERE at > %(now)s)
FROM (
    SELECT stream, (extract(epoch FROM occurred_at) * 1000000)::bigint AS at FROM {timeline}
    WHERE workspace = %(workspace)s AND name = %(name)s AND position <= %(position)s
        AND occurred_at <= %(until)s AND ordinal = {MESSAGE} AND subject IS NOT NULL
        AND kind <> ALL(%(decisions)s)
) AS events
GROUP BY stream
"""

_NAMED, _OF = "AND name = ANY(%(names)s)", "AND stream = ANY(%(streams)b)"

BackfilledValues = Mapping[str, Mapping[UUID, AccumulatorValue]]
"""What is remembered of each stream, by the memory's key."""

_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_decode = msgspec.json.Decoder().decode


class TimelineBehind(NotProjectedYet):
    """The timeline has not taken all the events that are to be looked at."""

    code = "timeline_behind"


def backfill_values(
    tx: Connection, workspace: int, accumulators: Sequence[Accumulator], cause: Cause
) -> BackfilledValues:
    """Return what is to be remembered of each stream.

    Raises TimelineBehind unless the timeline is at that position: it is tried again then.
    """
    wanted = [it for it in accumulators if it.names is None or it.names]
    if wanted:
        require_timeline_at(tx, workspace, cause.position)
        recalled = aggregate_history(tx, workspace, wanted, position=cause.position, now=cause.at)
    else:
        recalled = {}
    return {it.key: recalled.get(it.key, {}) for it in accumulators}


def require_timeline_at(tx: Connection, workspace: int, position: int) -> None:
    """Raise TimelineBehind unless the timeline has taken all events up to a position."""
    reached = checkpoint.all_positions(tx, workspace).get((NAME, VERSION), 0)
    if reached < position:
        raise TimelineBehind(
            f"the timeline is at position {reached}, and is needed at {position}",
            workspace=workspace,
            position=reached,
        )


def aggregate_history(
    tx: Connection,
    workspace: int,
    accumulators: Sequence[Accumulator],
    *,
    position: int,
    now: int,
    until: int | None = None,
) -> BackfilledValues:
    """Return what is remembered of each stream, by ``now``, of the events up to a position.

    Only of those that occurred by ``until``, if it is given.
    """
    found: dict[str, Mapping[UUID, AccumulatorValue]] = {
        it.key: aggregate_in_sql(tx, workspace, it, position=position, now=now, until=until)
        for it in accumulators
        if can_aggregate_in_sql(it)
    }
    others = [it for it in accumulators if it.key not in found]
    if not others:
        return found
    gatherings = [AccumulatorRun(it) for it in others]
    return found | dict(aggregate_in_python(tx, workspace, gatherings, position, clock=until))


def aggregate_in_python(
    tx: Connection,
    workspace: int,
    accumulator_runs: Sequence[AccumulatorRun],
    position: int,
    *,
    clock: int | None = None,
    streams: Sequence[UUID] | None = None,
) -> BackfilledValues:
    """Return what is remembered of the events up to a position, by looking at each.

    ``clock``, by which they must have occurred, and ``streams`` narrow them down.
    """

    @cache
    def accepting(kind: str, name: str) -> Sequence[AccumulatorRun]:
        return [it for it in accumulator_runs if it.accepts(kind, name)]

    names = _event_names(it.accumulator for it in accumulator_runs)
    for stream, kind, happened in _read_events(
        tx, workspace, names, position, clock=clock, streams=streams
    ):
        for each in accepting(kind, happened.name):
            each.add(stream, happened)
    return {it.accumulator.key: it.values() for it in accumulator_runs}


class AccumulatorRun:
    """What is remembered of streams, of any number of events in any order.

    Joined two and two of like size: one after the other, 100,000 events of a person took two minutes (measured).
    """

    def __init__(self, accumulator: Accumulator, clock: int | None = None) -> None:
        """``clock``: from when on it is asked for."""
        self.accumulator, self._clock = accumulator, clock
        self._add = accumulator.make_add()
        self._partials: dict[UUID, list[tuple[int, AccumulatorValue]]] = defaultdict(list)

    def accepts(self, kind: str, name: str) -> bool:
        """Say whether it looks at messages of a kind and name."""
        return self.accumulator.kind in (None, kind) and self.accumulator.watches(name)

    def add(self, stream: UUID, event: EventView) -> None:
        """Add an event of a stream."""
        value, size = self._prune(self._add(None, event)), 1
        if value is None:
            return
        parts = self._partials[stream]
        while parts and parts[-1][0] <= size:
            more, before = parts.pop()
            value, size = self.accumulator.merge([(before, None), (value, None)]), size + more
        parts.append((size, value))

    def values(self) -> Mapping[UUID, AccumulatorValue]:
        """Return what is remembered of each stream."""
        joined = {
            stream: self._prune(self.accumulator.merge([(value, None) for _, value in parts]))
            for stream, parts in self._partials.items()
        }
        return {stream: it for stream, it in joined.items() if it is not None}

    def _prune(self, value: AccumulatorValue) -> AccumulatorValue:
        if self._clock is None or not isinstance(self.accumulator, EventAccumulator):
            return value
        return self.accumulator.leaf.prune(value, self._clock)


def _event_names(accumulators: Iterable[Accumulator]) -> Sequence[str] | None:
    """Return the names of all the events that they look at; None: a pattern tells them."""
    names = [it.names for it in accumulators]
    known = [it for it in names if it is not None]
    if len(known) < len(names):
        return None
    return sorted(filter(sanitise.is_storable_text, frozenset[str]().union(*known)))


def _read_events(
    tx: Connection,
    workspace: int,
    names: Sequence[str] | None,
    position: int,
    *,
    clock: int | None = None,
    streams: Sequence[UUID] | None = None,
) -> Iterator[tuple[UUID, str, EventView]]:
    """Give out the events up to a position, each with its stream and its kind.

    ``names`` and ``streams`` narrow them down; so does ``clock``, by which they must have occurred.
    """
    which = ("" if names is None else _NAMED) + ("" if streams is None else _OF)
    asked = {
        "workspace": workspace,
        "names": names,
        "streams": streams,
        "position": position,
        "clock": _LAST if clock is None else from_micros(clock),
        "decisions": sorted(COMMAND_KINDS),
    }
    driver = binary_cursor(tx).connection
    with driver.cursor(name=f"recall_{uuid4().hex}", binary=True) as rows:
        rows.itersize = FETCH_SIZE
        rows.execute(_EVENTS.format(which=which), asked)
        for stream, at, id_, kind, name, properties, recorded in rows:
            document = {"properties": _decode(properties)}
            happened = EventView(at, id_, name, document, clock or recorded)
            yield stream, kind, happened


def can_aggregate_in_sql(accumulator: Accumulator) -> bool:
    """Say whether the server can: one event name, and nothing asked of its properties."""
    if not isinstance(accumulator, EventAccumulator):
        return False
    leaf = accumulator.leaf
    if not isinstance(leaf, EventCountCondition | OccurrenceCondition) or leaf.where:
        return False
    return isinstance(leaf.event, str) and sanitise.is_storable_text(leaf.event)


def aggregate_in_sql(
    tx: Connection,
    workspace: int,
    accumulator: Accumulator,
    *,
    position: int,
    now: int,
    until: int | None,
) -> Mapping[UUID, AccumulatorValue]:
    """Return what is remembered of each stream of the events up to a position.

    Of those that occurred by ``until``, if it is given; what is later than ``now`` has yet to come.
    Instants are in microseconds.
    """
    assert isinstance(accumulator, EventAccumulator)
    leaf = accumulator.leaf
    assert isinstance(leaf, EventCountCondition | OccurrenceCondition)
    counted = leaf if isinstance(leaf, EventCountCondition) else leaf.equivalent_count
    how = "min" if counted is None else "array_agg"

    def summary(gathered: Any) -> AccumulatorValue:
        return gathered if counted is None else counted.summary_of_times(gathered)

    asked = {
        "workspace": workspace,
        "name": leaf.event,
        "position": position,
        "now": now,
        "until": _LAST if until is None else from_micros(until),
        "decisions": sorted(COMMAND_KINDS),
    }
    found = {}
    with binary_cursor(tx) as ask:
        for stream, gathered, coming in ask.execute(_TIMES.format(gather=how), asked):
            value = None if gathered is None else summary(gathered)
            if coming is not None:
                alone = ((at, summary(at if counted is None else [at])) for at in coming)
                value = Summarised.with_pending(value, [it for it in alone if it[1] is not None])
            if value is not None:
                found[stream] = value
    return found
