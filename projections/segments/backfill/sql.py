"""Computes accumulators over the history of streams, from the rows of the timeline.

The timeline has an index of event names, which the ledger lacks.  Its rows of messages are written once,
with their positions, so the values up to a position do not depend on when they are computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Connection

from domain.conditions import EventView
from domain.conditions.accumulators import Accumulator, AccumulatorValue
from domain.conditions.summary import Summarised
from domain.core import sanitise
from domain.core.errors import NotProjectedYet
from domain.core.ledger_time import Cause
from domain.core.time import from_micros
from domain.profiles.state import COMMAND_KINDS
from projections.kit.driver import binary_cursor
from projections.runtime import checkpoint
from projections.segments.backfill.compilation import TimesSummary
from projections.segments.backfill.sql_compilers import SQL_COMPILERS
from projections.timeline.tables import MESSAGE, NAME, VERSION, timeline

FETCH_SIZE = 10_000
"""Rows per fetch of the server-side cursor."""

_EVENTS = f"""
SELECT stream, (extract(epoch FROM occurred_at) * 1000000)::bigint, uuid_send(id), kind, name,
    properties::text, (extract(epoch FROM recorded_at) * 1000000)::bigint
FROM {timeline}
WHERE workspace = %(workspace)s {{filters}} AND position <= %(position)s
    AND occurred_at <= %(until)s AND ordinal = {MESSAGE} AND subject IS NOT NULL
    AND kind <> ALL(%(command_kinds)s)
"""

_TIMES = f"""
SELECT stream, {{function}}(at) FILTER (WHERE at <= %(now)s), array_agg(at) FILTER (WHERE at > %(now)s)
FROM (
    SELECT stream, (extract(epoch FROM occurred_at) * 1000000)::bigint AS at FROM {timeline}
    WHERE workspace = %(workspace)s AND name = %(name)s AND position <= %(position)s
        AND occurred_at <= %(until)s AND ordinal = {MESSAGE} AND subject IS NOT NULL
        AND kind <> ALL(%(command_kinds)s)
) AS events
GROUP BY stream
"""

_BY_NAME, _BY_STREAM = "AND name = ANY(%(names)s)", "AND stream = ANY(%(streams)b)"

BackfilledValues = Mapping[str, Mapping[UUID, AccumulatorValue]]
"""Values by accumulator key and stream."""

_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_decode = msgspec.json.Decoder().decode


class TimelineBehind(NotProjectedYet):
    """The timeline projection has not applied all events that are needed."""

    code = "timeline_behind"


def backfill_values(
    tx: Connection, workspace: int, accumulators: Sequence[Accumulator], cause: Cause
) -> BackfilledValues:
    """Returns the values of accumulators as of a cause, for every stream that has one.

    Raises TimelineBehind unless the timeline is at its position; the caller retries later.
    """
    with_events = [
        accumulator
        for accumulator in accumulators
        if accumulator.names is None or accumulator.names
    ]
    values: BackfilledValues = {}
    if with_events:
        require_timeline_at(tx, workspace, cause.position)
        values = aggregate_history(
            tx, workspace, with_events, position=cause.position, now=cause.at
        )
    return {accumulator.key: values.get(accumulator.key, {}) for accumulator in accumulators}


def require_timeline_at(tx: Connection, workspace: int, position: int) -> None:
    """Raises TimelineBehind unless the timeline has applied all events up to a position."""
    reached = checkpoint.all_positions(tx, workspace).get((NAME, VERSION), 0)
    if reached < position:
        raise TimelineBehind(
            f"the timeline projection is at position {reached}, but this needs position {position};"
            " retry when it has caught up",
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
    """Returns the values of accumulators over the events up to a position.

    Events after ``now`` are pending; those after ``until``, if given, are left out.  Both are instants in
    microseconds.
    """
    values: dict[str, Mapping[UUID, AccumulatorValue]] = {
        accumulator.key: aggregate_in_sql(
            tx, workspace, from_times, position=position, now=now, until=until
        )
        for accumulator in accumulators
        if (from_times := times_summary(accumulator)) is not None
    }
    others = [accumulator for accumulator in accumulators if accumulator.key not in values]
    if not others:
        return values
    accumulator_runs = [AccumulatorRun(accumulator) for accumulator in others]
    return values | dict(
        aggregate_in_python(tx, workspace, accumulator_runs, position, until=until)
    )


def aggregate_in_python(
    tx: Connection,
    workspace: int,
    accumulator_runs: Sequence[AccumulatorRun],
    position: int,
    *,
    until: int | None = None,
    streams: Sequence[UUID] | None = None,
) -> BackfilledValues:
    """Returns the values of accumulators over the events up to a position, read one by one.

    Only events that occurred by ``until``, and only of ``streams``, if given.
    """

    @cache
    def accepting(kind: str, name: str) -> Sequence[AccumulatorRun]:
        return [run for run in accumulator_runs if run.accepts(kind, name)]

    names = _event_names(run.accumulator for run in accumulator_runs)
    for stream, kind, event in _read_events(
        tx, workspace, names, position, until=until, streams=streams
    ):
        for accumulator_run in accepting(kind, event.name):
            accumulator_run.add(stream, event)
    return {run.accumulator.key: run.values() for run in accumulator_runs}


class AccumulatorRun:
    """One accumulator computed for many streams, over any number of events in any order.

    Partials of like size are merged in pairs: merged one after the other, 100,000 events of a profile took
    two minutes (measured).
    """

    def __init__(self, accumulator: Accumulator, registered_at: int | None = None) -> None:
        """``registered_at``: when it was registered, in microseconds; None: values are not pruned."""
        self.accumulator, self._registered_at = accumulator, registered_at
        self._add = accumulator.make_add()
        self._partials: dict[UUID, list[tuple[int, AccumulatorValue]]] = defaultdict(list)

    def accepts(self, kind: str, name: str) -> bool:
        """Returns whether the accumulator looks at messages of a kind and name."""
        return self.accumulator.kind in (None, kind) and self.accumulator.watches(name)

    def add(self, stream: UUID, event: EventView) -> None:
        """Adds an event of a stream."""
        value, size = self._prune(self._add(None, event)), 1
        if value is None:
            return
        partials = self._partials[stream]
        while partials and partials[-1][0] <= size:
            before_size, before = partials.pop()
            value = self.accumulator.merge([(before, None), (value, None)])
            size += before_size
        partials.append((size, value))

    def values(self) -> Mapping[UUID, AccumulatorValue]:
        """Returns the value of each stream that has one."""
        merged = {
            stream: self._prune(self.accumulator.merge([(value, None) for _, value in partials]))
            for stream, partials in self._partials.items()
        }
        return {stream: value for stream, value in merged.items() if value is not None}

    def _prune(self, value: AccumulatorValue) -> AccumulatorValue:
        if value is None or self._registered_at is None:
            return value
        return self.accumulator.to_stored(value, self._registered_at)


def _event_names(accumulators: Iterable[Accumulator]) -> Sequence[str] | None:
    """Returns the names of all events that accumulators look at; None if one matches a pattern."""
    names = [accumulator.names for accumulator in accumulators]
    known = [n for n in names if n is not None]
    if len(known) < len(names):
        return None
    return sorted(filter(sanitise.is_storable_text, frozenset[str]().union(*known)))


def _read_events(
    tx: Connection,
    workspace: int,
    names: Sequence[str] | None,
    position: int,
    *,
    until: int | None = None,
    streams: Sequence[UUID] | None = None,
) -> Iterator[tuple[UUID, str, EventView]]:
    """Yields the events up to a position, each with its stream and kind.

    Only of ``names`` and ``streams``, and only those that occurred by ``until``, if given.
    """
    filters = ("" if names is None else _BY_NAME) + ("" if streams is None else _BY_STREAM)
    params = {
        "workspace": workspace,
        "names": names,
        "streams": streams,
        "position": position,
        "until": _END_OF_TIME if until is None else from_micros(until),
        "command_kinds": sorted(COMMAND_KINDS),
    }
    driver = binary_cursor(tx).connection
    with driver.cursor(name=f"backfill_{uuid4().hex}", binary=True) as rows:
        rows.itersize = FETCH_SIZE
        rows.execute(_EVENTS.format(filters=filters), params)
        for stream, occurred_at, id_, kind, name, properties, recorded_at in rows:
            document = {"properties": _decode(properties)}
            yield stream, kind, EventView(occurred_at, id_, name, document, until or recorded_at)


def times_summary(accumulator: Accumulator) -> TimesSummary | None:
    """Returns how SQL can compute an accumulator from the times of events; None if it cannot."""
    compiler = SQL_COMPILERS.get(type(accumulator.leaf))
    return None if compiler is None else compiler.times_summary(accumulator.leaf)


def aggregate_in_sql(
    tx: Connection,
    workspace: int,
    from_times: TimesSummary,
    *,
    position: int,
    now: int,
    until: int | None,
) -> Mapping[UUID, AccumulatorValue]:
    """Returns the value of each stream over the events up to a position, computed in SQL.

    Parameters are as in `aggregate_history`.
    """
    params = {
        "workspace": workspace,
        "name": from_times.name,
        "position": position,
        "now": now,
        "until": _END_OF_TIME if until is None else from_micros(until),
        "command_kinds": sorted(COMMAND_KINDS),
    }
    statement = _TIMES.format(function=from_times.function)
    values = {}
    with binary_cursor(tx) as cursor:
        for stream, aggregated, future_times in cursor.execute(statement, params):
            value = None if aggregated is None else from_times.of_aggregate(aggregated)
            if future_times is not None:
                single = ((at, from_times.of_time(at)) for at in future_times)
                pending = [(at, summary) for at, summary in single if summary is not None]
                value = Summarised.with_pending(value, pending)
            if value is not None:
                values[stream] = value
    return values
