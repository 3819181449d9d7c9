"""Compiles conditions on events to SQL that finds the profiles for which they hold.

The SQL counts, finds the first or last occurrence, or aggregates, as `domain.conditions` do.  Where it may
differ from them (an event is dated in the future, a number may not equal the double that is read from it)
it marks the profile with ``needs_recheck``.  ``next_timer`` may be too early, never too late: the profile
is evaluated again then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from domain.conditions.aggregate_condition import AggregateCondition
from domain.conditions.event_names import EventName
from domain.conditions.events import EventCountCondition, OccurrenceCondition
from domain.conditions.values import Comparison, is_number
from domain.conditions.windows import TimeWindow
from domain.core import paths, sanitise
from domain.core.time import EARLIEST, LATEST, from_micros, parse_duration, parse_instant
from projections.segments.backfill.compilation import Compilation, TimesSummary
from projections.segments.tables import stream
from projections.timeline.tables import MESSAGE, timeline

MAX_PATH_STEPS = 16
"""Maximum steps of a path; the server's own limit is some thousands."""

MAX_COMPARISONS = 16
"""Maximum comparisons of an event; the server's own limit is 1,664 columns."""

_LEAF_QUERY = f"""
SELECT profile, needs_recheck, {{holds}} AS holds, {{next_timer}} AS next_timer
FROM (
    SELECT coalesce(merged.profile, events.stream) AS profile, {{aggregates}},
        min(occurred_at) AS first_occurred_at, bool_or(occurred_at > %(now)s{{inexact}}) AS needs_recheck
    FROM (
        SELECT stream, occurred_at{{columns}} FROM {timeline}
        WHERE workspace = %(workspace)s AND name = {{name}} AND position <= %(position)s
            AND ordinal = {MESSAGE} AND subject IS NOT NULL AND kind <> ALL(%(command_kinds)s){{window}}
        OFFSET 0
    ) AS events LEFT JOIN {stream} AS merged ON merged.workspace = %(workspace)s
        AND merged.stream = events.stream AND merged.profile <> merged.stream{{where}}
    GROUP BY 1
) AS by_profile
"""

_MICROS = "(extract(epoch FROM {}) * 1000000)::bigint"
_OPERATORS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_AGGREGATES = {
    "sum": "sum(number) AS aggregate",
    "avg": "sum(number) AS aggregate, count(*) AS value_count",
    "min": "min(number) AS aggregate",
    "max": "max(number) AS aggregate",
}
_ENDS_BY_EXPIRY_ONLY = {("max", "gt"), ("max", "gte"), ("min", "lt"), ("min", "lte")}
"""Functions and operators whose condition cannot become true when an event leaves the window."""


class _LeafSql(NamedTuple):
    """Aggregates of the events of each profile, and the result in terms of them."""

    aggregates: str
    holds: str
    next_timer: str


def compile_count(condition: EventCountCondition, compilation: Compilation) -> str | None:
    """Compiles a count of events."""
    low, high = condition.count.bounds
    enough = f"aggregate >= {compilation.bind(low)}"
    too_many = "FALSE" if high is None else f"aggregate > {compilation.bind(high)}"
    leaf = _LeafSql(
        "count(*) AS aggregate",
        f"{enough} AND NOT {too_many}",
        _next_expiry(enough if low else too_many, condition.within),
    )
    return _add_leaf(condition, leaf, compilation, within=condition.within)


def compile_occurrence(condition: OccurrenceCondition, compilation: Compilation) -> str | None:
    """Compiles a comparison of the age of the first or last event."""
    function = "min" if condition.occurrence == "first" else "max"
    age = compilation.bind(parse_duration(condition.older_than or condition.newer_than))
    is_older_than = compilation.bind(condition.older_than is not None)
    now = compilation.bind(compilation.clock)
    reaches_age_at = f"{_MICROS.format('aggregate')} + {age}"
    leaf = _LeafSql(
        f"{function}(occurred_at) AS aggregate",
        f"({reaches_age_at} <= {now}) = {is_older_than}",
        f"CASE WHEN {reaches_age_at} > {now} THEN {reaches_age_at} END",
    )
    return _add_leaf(condition, leaf, compilation)


def compile_aggregate(condition: AggregateCondition, compilation: Compilation) -> str | None:
    """Compiles a comparison of an aggregate of numbers."""
    fn, path, op, value = msgspec.structs.astuple(condition.aggregate)
    number = _number_sql(path, compilation)
    if fn not in _AGGREGATES or op not in _OPERATORS or number is None:
        return None
    times_count = " * value_count" if fn == "avg" else ""
    holds = f"aggregate {_OPERATORS[op]} {compilation.bind(Decimal(str(value)))}{times_count}"
    may_change = "TRUE"
    if (fn, op) in _ENDS_BY_EXPIRY_ONLY:
        may_change = holds
    elif fn == "sum" and op in {"gt", "gte"}:
        may_change = f"{holds} OR smallest < 0"
    leaf = _LeafSql(
        f"{_AGGREGATES[fn]}, min(number) AS smallest",
        holds,
        _next_expiry(may_change, condition.within),
    )
    return _add_leaf(condition, leaf, compilation, within=condition.within, number=number)


def summarise_counted(condition: EventCountCondition) -> TimesSummary | None:
    """Returns how a count's summary follows from all times; None for a filter or a pattern."""
    name = _plain_name(condition.event)
    if name is None or condition.where:
        return None
    summarise = condition.summary_of_times
    return TimesSummary(name, "array_agg", summarise, lambda at: summarise([at]))


def summarise_occurrence(condition: OccurrenceCondition) -> TimesSummary | None:
    """Returns how it follows from times; None for a filter or a pattern."""
    if condition.equivalent_count is not None:
        return summarise_counted(condition.equivalent_count)
    name = _plain_name(condition.event)
    if name is None or condition.where:
        return None
    return TimesSummary(name, "min", lambda first: first, lambda at: at)


def _add_leaf(
    condition: EventCountCondition | OccurrenceCondition | AggregateCondition,
    leaf: _LeafSql,
    compilation: Compilation,
    *,
    within: TimeWindow | None = None,
    number: str | None = None,
) -> str | None:
    """Adds the query of a leaf; returns the expression that it holds, None if SQL cannot tell.

    ``number`` is the SQL of the aggregated number.  The query takes the parameters ``workspace``,
    ``position``, ``now`` and ``command_kinds`` besides those of the compilation.
    """
    name = _plain_name(condition.event)
    event_filter = _compile_event_filter(condition.where, number, compilation)
    if name is None or event_filter is None:
        return None
    window = _window_sql(within, compilation)
    query = _LEAF_QUERY.format(
        **leaf._asdict(), **event_filter, name=compilation.bind(name), window=window
    )
    return compilation.add_leaf(condition, query)


def _plain_name(event_name: EventName) -> str | None:
    """Returns the one name that the timeline can have rows of; None for a pattern."""
    if isinstance(event_name, str) and sanitise.is_storable_text(event_name):
        return event_name
    return None


def _compile_event_filter(
    where: Sequence[Comparison], aggregated: str | None, compilation: Compilation
) -> Mapping[str, str] | None:
    """Returns the parts of `_LEAF_QUERY` that select events: ``columns, inexact, where``.

    ``aggregated`` is the SQL of the aggregated number, if there is one.  None if SQL cannot compare.
    """
    columns, inexact, tests = list[str](), list[str](), list[str]()
    if len(where) > MAX_COMPARISONS:
        return None
    if aggregated is not None:
        columns.append(f"{aggregated} AS number")
        tests.append("number IS NOT NULL")
        inexact.append(_is_inexact("number"))
    for number, comparison in enumerate(where):
        column = f"compared_{number}"
        value = (
            _number_sql(comparison.path, compilation)
            if is_number(comparison.value)
            else _property_sql(comparison.path, compilation)
        )
        if value is None or not _compares_exactly(comparison):
            return None
        columns.append(f"{value} AS {column}")
        if is_number(comparison.value):
            inexact.append(_is_inexact(column))
            operand = compilation.bind(Decimal(str(comparison.value)))
            tests.append(
                f"({column} {_OPERATORS[comparison.op]} {operand} OR {_is_inexact(column)})"
            )
        else:
            operand = compilation.bind(msgspec.json.encode(comparison.value).decode())
            tests.append(f"{column} = {operand}::jsonb")
    return {
        "columns": "".join(f", {column}" for column in columns),
        "inexact": "".join(f" OR {test}" for test in inexact),
        "where": " WHERE " + " AND ".join(tests) if tests else "",
    }


def _property_sql(path: str, compilation: Compilation) -> str | None:
    """Returns the value at a path; None if it leads into lists or to what cannot be stored."""
    root, *steps = paths.parse(path)
    if root != "properties" or not 0 < len(steps) <= MAX_PATH_STEPS:
        return None
    if not all(step is not None and sanitise.is_storable_text(step) for step in steps):
        return None
    return "properties" + "".join(f" -> {compilation.bind(step)}::text" for step in steps)


def _number_sql(path: str, compilation: Compilation) -> str | None:
    """Returns the number at a path; SQL null if the value there is not a number."""
    value = _property_sql(path, compilation)
    return value and f"CASE jsonb_typeof({value}) WHEN 'number' THEN ({value})::numeric END"


def _is_inexact(number: str) -> str:
    """Returns a test for a number that may differ from the double that Python reads from it.

    Up to fifteen digits it never does; an integer beyond 2^53 is stored as text.
    """
    short = f"scale({number}) = 0 OR (scale({number}) <= 4 AND abs({number}) < 1e11)"
    return f"NOT ({short} OR ({number})::float8::text::numeric = {number})"


def _compares_exactly(comparison: Comparison) -> bool:
    """Returns whether SQL compares as `domain.conditions.values` does."""
    operand = comparison.value
    if is_number(operand):
        return comparison.op in _OPERATORS and abs(operand) <= sanitise.MAX_EXACT_INTEGER
    return comparison.op == "eq" and (
        isinstance(operand, bool)
        or (isinstance(operand, str) and sanitise.is_storable_text(operand))
    )


def _next_expiry(may_change: str, within: TimeWindow | None) -> str:
    """Returns when the first event leaves a moving window, for profiles whose result may change."""
    if within is None or within.span is None:
        return "NULL::bigint"
    return f"CASE WHEN {may_change} THEN {_MICROS.format('first_occurred_at')} + {within.span} END"


def _window_sql(within: TimeWindow | None, compilation: Compilation) -> str:
    if within is None:
        return ""
    if within.span is not None:
        return (
            f" AND occurred_at > {compilation.bind(from_micros(compilation.clock - within.span))}"
        )
    bounds = ((">=", within.from_), ("<", within.to))
    instants = ((operator, parse_instant(text)) for operator, text in bounds if text is not None)
    # An instant outside the range of PostgreSQL, by a time zone of some hours, is moved to its end: no event is beyond.
    return "".join(
        f" AND occurred_at {operator} {compilation.bind(from_micros(min(max(at, EARLIEST), LATEST)))}"
        for operator, at in instants
        if at is not None
    )
