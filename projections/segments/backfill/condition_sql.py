"""One condition on one kind of event, as SQL that tells of whom it holds.

It counts, finds the first or last, or sums up as `domain.conditions` do.  Of whom it cannot be sure (an
event's time is still to come, a number may not be what a double makes of it) it says that they are odd.
When an answer may change by itself is told too early rather than exactly: it is asked again then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from domain.conditions import Condition
from domain.conditions.aggregate_condition import AggregateCondition
from domain.conditions.events import EventCountCondition, OccurrenceCondition
from domain.conditions.values import Comparison, is_number
from domain.conditions.windows import TimeWindow
from domain.core import paths, sanitise
from domain.core.time import EARLIEST, LATEST, from_micros, parse_duration, parse_instant
from projections.segments.tables import stream
from projections.timeline.tables import MESSAGE, timeline

MAX_PATH_STEPS, MAX_COMPARISONS = 16, 16
"""Of a path, and of an event; the server's own limits are some thousand steps, and 1,664 columns."""

_LEAF_QUERY = f"""
SELECT person, odd, {{holds}} AS holds, {{due}} AS due
FROM (
    SELECT coalesce(absorbed.person, events.stream) AS person, {{gathered}},
        min(occurred_at) AS low, bool_or(occurred_at > %(now)s{{odd}}) AS odd
    FROM (
        SELECT stream, occurred_at{{values}} FROM {timeline}
        WHERE workspace = %(workspace)s AND name = {{name}} AND position <= %(position)s
            AND ordinal = {MESSAGE} AND subject IS NOT NULL AND kind <> ALL(%(decisions)s){{window}}
        OFFSET 0
    ) AS events LEFT JOIN {stream} AS absorbed ON absorbed.workspace = %(workspace)s
        AND absorbed.stream = events.stream AND absorbed.person <> absorbed.stream{{where}}
    GROUP BY 1
) AS asked
"""

_MICROS = "(extract(epoch FROM {}) * 1000000)::bigint"
_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_AGGREGATES = {
    "sum": "sum(number) AS held",
    "avg": "sum(number) AS held, count(*) AS number_of",
    "min": "min(number) AS held",
    "max": "max(number) AS held",
}
_ENDS_BY_EXPIRY_ONLY = {("max", "gt"), ("max", "gte"), ("min", "lt"), ("min", "lte")}
"""What does not come to hold because something has left the window."""


class BindParams:
    """The values that a statement is given."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def bind(self, value: Any) -> str:
        """Return what stands for a value in the statement."""
        name = f"value_{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


class _LeafSql(NamedTuple):
    """What is gathered of each person, and what that tells."""

    gathered: str
    holds: str
    due: str


def compile_leaf(condition: Condition, clock: int, params: BindParams) -> str | None:
    """Return SQL of ``person, odd, holds, due`` of all who did what counts; None: it cannot be told.

    It takes ``workspace, position, now, decisions`` beside the facts.
    """
    if not isinstance(condition, EventCountCondition | OccurrenceCondition | AggregateCondition):
        return None
    if not isinstance(condition.event, str) or not sanitise.is_storable_text(condition.event):
        return None
    number, window = None, ""
    if isinstance(condition, EventCountCondition):
        asked: _LeafSql | None = _compile_performed(condition, params)
    elif isinstance(condition, OccurrenceCondition):
        asked = _compile_occurrence(condition, clock, params)
    else:
        asked, number = (
            _compile_aggregated(condition, params),
            _number_sql(condition.aggregate.path, params),
        )
        if number is None:
            return None
    if not isinstance(condition, OccurrenceCondition):
        window = _window_sql(condition.within, clock, params)
    events = _compile_event_filter(condition.where, number, params)
    if asked is None or events is None:
        return None
    name = params.bind(condition.event)
    return _LEAF_QUERY.format(**asked._asdict(), **events, name=name, window=window)


def flips_with_time(condition: Condition) -> frozenset[bool]:
    """Return what the answer may become because time goes by: as events leave a window, or get old."""
    if isinstance(condition, OccurrenceCondition):
        return frozenset((condition.older_than is not None,))
    within = (
        condition.within
        if isinstance(condition, EventCountCondition | AggregateCondition)
        else None
    )
    if within is None or within.span is None:
        return frozenset()
    low, high = condition.count.bounds if isinstance(condition, EventCountCondition) else (1, 1)
    return frozenset([it for it, may in ((False, low > 0), (True, high is not None)) if may])


def _compile_performed(condition: EventCountCondition, params: BindParams) -> _LeafSql:
    low, high = condition.count.bounds
    enough = f"held >= {params.bind(low)}"
    too_many = "FALSE" if high is None else f"held > {params.bind(high)}"
    return _LeafSql(
        "count(*) AS held",
        f"{enough} AND NOT {too_many}",
        _next_expiry(enough if low else too_many, condition.within),
    )


def _compile_occurrence(condition: OccurrenceCondition, clock: int, params: BindParams) -> _LeafSql:
    how = "min" if condition.occurrence == "first" else "max"
    age = params.bind(parse_duration(condition.older_than or condition.newer_than))
    older, now = params.bind(condition.older_than is not None), params.bind(clock)
    old = f"{_MICROS.format('held')} + {age}"
    return _LeafSql(
        f"{how}(occurred_at) AS held",
        f"({old} <= {now}) = {older}",
        f"CASE WHEN {old} > {now} THEN {old} END",
    )


def _compile_aggregated(condition: AggregateCondition, params: BindParams) -> _LeafSql | None:
    fn, _, op, value = msgspec.structs.astuple(condition.aggregate)
    if fn not in _AGGREGATES or op not in _OPERATORS:
        return None
    times = " * number_of" if fn == "avg" else ""
    holds = f"held {_OPERATORS[op]} {params.bind(Decimal(str(value)))}{times}"
    may_change = "TRUE"
    if (fn, op) in _ENDS_BY_EXPIRY_ONLY:
        may_change = holds
    elif fn == "sum" and op in {"gt", "gte"}:
        may_change = f"{holds} OR least < 0"
    return _LeafSql(
        f"{_AGGREGATES[fn]}, min(number) AS least",
        holds,
        _next_expiry(may_change, condition.within),
    )


def _compile_event_filter(
    where: Sequence[Comparison], aggregated: str | None, params: BindParams
) -> Mapping[str, str] | None:
    """Return which events count, with which numbers."""
    values, odd, tests = list[str](), list[str](), list[str]()
    if len(where) > MAX_COMPARISONS:
        return None
    if aggregated is not None:
        values.append(f"{aggregated} AS number")
        tests.append("number IS NOT NULL")
        odd.append(_needs_recheck("number"))
    for place, each in enumerate(where):
        name = f"compared_{place}"
        found = (
            _number_sql(each.path, params)
            if is_number(each.value)
            else _property_sql(each.path, params)
        )
        if found is None or not _compares_exactly(each):
            return None
        values.append(f"{found} AS {name}")
        if is_number(each.value):
            odd.append(_needs_recheck(name))
            wanted = params.bind(Decimal(str(each.value)))
            tests.append(f"({name} {_OPERATORS[each.op]} {wanted} OR {_needs_recheck(name)})")
        else:
            wanted = params.bind(msgspec.json.encode(each.value).decode())
            tests.append(f"{name} = {wanted}::jsonb")
    return {
        "values": "".join(f", {it}" for it in values),
        "odd": "".join(f" OR {it}" for it in odd),
        "where": " WHERE " + " AND ".join(tests) if tests else "",
    }


def _property_sql(path: str, params: BindParams) -> str | None:
    """Return the value at a path; None if the path leads into lists, or to what no document has."""
    root, *steps = paths.parse(path)
    if root != "properties" or not 0 < len(steps) <= MAX_PATH_STEPS:
        return None
    if not all(it is not None and sanitise.is_storable_text(it) for it in steps):
        return None
    return "properties" + "".join(f" -> {params.bind(it)}::text" for it in steps)


def _number_sql(path: str, params: BindParams) -> str | None:
    """Return the number at a path, null if there is something else."""
    found = _property_sql(path, params)
    return found and f"CASE jsonb_typeof({found}) WHEN 'number' THEN ({found})::numeric END"


def _needs_recheck(number: str) -> str:
    """Return whether a number is not what is read of it: the shortest text of a double.

    Of fifteen digits it always is; an integer beyond 2^53 is kept as text.
    """
    short = f"scale({number}) = 0 OR (scale({number}) <= 4 AND abs({number}) < 1e11)"
    return f"NOT ({short} OR ({number})::float8::text::numeric = {number})"


def _compares_exactly(comparison: Comparison) -> bool:
    """Say whether the server compares as `domain.conditions.values` does."""
    wanted = comparison.value
    if is_number(wanted):
        return comparison.op in _OPERATORS and abs(wanted) <= sanitise.MAX_EXACT_INTEGER
    return comparison.op == "eq" and (
        isinstance(wanted, bool) or (isinstance(wanted, str) and sanitise.is_storable_text(wanted))
    )


def _next_expiry(may_change: str, within: TimeWindow | None) -> str:
    """Return when the first event leaves a window that moves, of those whose answer that may change."""
    if within is None or within.span is None:
        return "NULL::bigint"
    return f"CASE WHEN {may_change} THEN {_MICROS.format('low')} + {within.span} END"


def _window_sql(within: TimeWindow | None, clock: int, params: BindParams) -> str:
    if within is None:
        return ""
    if within.span is not None:
        return f" AND occurred_at > {params.bind(from_micros(clock - within.span))}"
    bounds = ((">=", within.from_), ("<", within.to))
    instants = ((how, parse_instant(text)) for how, text in bounds if text is not None)
    # What lies outside, by an offset of some hours, is before or after everything.
    return "".join(
        f" AND occurred_at {how} {params.bind(from_micros(min(max(at, EARLIEST), LATEST)))}"
        for how, at in instants
        if at is not None
    )
