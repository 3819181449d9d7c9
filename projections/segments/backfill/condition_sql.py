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
from domain.conditions.aggregates import Aggregated
from domain.conditions.events import Occurrence, Performed
from domain.conditions.values import Comparison, is_number
from domain.conditions.windows import Within
from domain.core import paths, sanitise
from domain.core.time import EARLIEST, LATEST, from_micros, parse_duration, parse_instant
from projections.segments.tables import stream
from projections.timeline.tables import MESSAGE, timeline

MOST_STEPS, MOST_TESTS = 16, 16
"""Of a path, and of an event; the server's own limits are some thousand steps, and 1,664 columns."""

_TOLD = f"""
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

_US = "(extract(epoch FROM {}) * 1000000)::bigint"
_COMPARED = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_SUMMARIES = {
    "sum": "sum(number) AS held",
    "avg": "sum(number) AS held, count(*) AS number_of",
    "min": "min(number) AS held",
    "max": "max(number) AS held",
}
_ONLY_ENDS = {("max", "gt"), ("max", "gte"), ("min", "lt"), ("min", "lte")}
"""What does not come to hold because something has left the window."""


class Facts:
    """The values that a statement is given."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def bind(self, value: Any) -> str:
        """Return what stands for a value in the statement."""
        name = f"value_{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


class _Gathered(NamedTuple):
    """What is gathered of each person, and what that tells."""

    gathered: str
    holds: str
    due: str


def told(condition: Condition, clock: int, facts: Facts) -> str | None:
    """Return SQL of ``person, odd, holds, due`` of all who did what counts; None: it cannot be told.

    It takes ``workspace, position, now, decisions`` beside the facts.
    """
    if not isinstance(condition, Performed | Occurrence | Aggregated):
        return None
    if not isinstance(condition.event, str) or not sanitise.is_text(condition.event):
        return None
    number, window = None, ""
    if isinstance(condition, Performed):
        asked: _Gathered | None = _performed(condition, facts)
    elif isinstance(condition, Occurrence):
        asked = _occurred(condition, clock, facts)
    else:
        asked, number = _summed(condition, facts), _number(condition.aggregate.path, facts)
        if number is None:
            return None
    if not isinstance(condition, Occurrence):
        window = _window(condition.within, clock, facts)
    events = _events(condition.where, number, facts)
    if asked is None or events is None:
        return None
    name = facts.bind(condition.event)
    return _TOLD.format(**asked._asdict(), **events, name=name, window=window)


def by_time(condition: Condition) -> frozenset[bool]:
    """Return what the answer may become because time goes by: as events leave a window, or get old."""
    if isinstance(condition, Occurrence):
        return frozenset((condition.older_than is not None,))
    within = condition.within if isinstance(condition, Performed | Aggregated) else None
    if within is None or within.span is None:
        return frozenset()
    low, high = condition.count.bounds if isinstance(condition, Performed) else (1, 1)
    return frozenset([it for it, may in ((False, low > 0), (True, high is not None)) if may])


def _performed(condition: Performed, facts: Facts) -> _Gathered:
    low, high = condition.count.bounds
    enough = f"held >= {facts.bind(low)}"
    too_many = "FALSE" if high is None else f"held > {facts.bind(high)}"
    return _Gathered(
        "count(*) AS held",
        f"{enough} AND NOT {too_many}",
        _leaves(enough if low else too_many, condition.within),
    )


def _occurred(condition: Occurrence, clock: int, facts: Facts) -> _Gathered:
    how = "min" if condition.occurrence == "first" else "max"
    age = facts.bind(parse_duration(condition.older_than or condition.newer_than))
    older, now = facts.bind(condition.older_than is not None), facts.bind(clock)
    old = f"{_US.format('held')} + {age}"
    return _Gathered(
        f"{how}(occurred_at) AS held",
        f"({old} <= {now}) = {older}",
        f"CASE WHEN {old} > {now} THEN {old} END",
    )


def _summed(condition: Aggregated, facts: Facts) -> _Gathered | None:
    fn, _, op, value = msgspec.structs.astuple(condition.aggregate)
    if fn not in _SUMMARIES or op not in _COMPARED:
        return None
    times = " * number_of" if fn == "avg" else ""
    holds = f"held {_COMPARED[op]} {facts.bind(Decimal(str(value)))}{times}"
    may_change = "TRUE"
    if (fn, op) in _ONLY_ENDS:
        may_change = holds
    elif fn == "sum" and op in {"gt", "gte"}:
        may_change = f"{holds} OR least < 0"
    return _Gathered(
        f"{_SUMMARIES[fn]}, min(number) AS least",
        holds,
        _leaves(may_change, condition.within),
    )


def _events(
    where: Sequence[Comparison], summed: str | None, facts: Facts
) -> Mapping[str, str] | None:
    """Return which events count, with which numbers."""
    values, odd, tests = list[str](), list[str](), list[str]()
    if len(where) > MOST_TESTS:
        return None
    if summed is not None:
        values.append(f"{summed} AS number")
        tests.append("number IS NOT NULL")
        odd.append(_odd("number"))
    for place, each in enumerate(where):
        name = f"compared_{place}"
        found = _number(each.path, facts) if is_number(each.value) else _value(each.path, facts)
        if found is None or not _is_told(each):
            return None
        values.append(f"{found} AS {name}")
        if is_number(each.value):
            odd.append(_odd(name))
            wanted = facts.bind(Decimal(str(each.value)))
            tests.append(f"({name} {_COMPARED[each.op]} {wanted} OR {_odd(name)})")
        else:
            wanted = facts.bind(msgspec.json.encode(each.value).decode())
            tests.append(f"{name} = {wanted}::jsonb")
    return {
        "values": "".join(f", {it}" for it in values),
        "odd": "".join(f" OR {it}" for it in odd),
        "where": " WHERE " + " AND ".join(tests) if tests else "",
    }


def _value(path: str, facts: Facts) -> str | None:
    """Return the value at a path; None if the path leads into lists, or to what no document has."""
    root, *steps = paths.parse(path)
    if root != "properties" or not 0 < len(steps) <= MOST_STEPS:
        return None
    if not all(it is not None and sanitise.is_text(it) for it in steps):
        return None
    return "properties" + "".join(f" -> {facts.bind(it)}::text" for it in steps)


def _number(path: str, facts: Facts) -> str | None:
    """Return the number at a path, null if there is something else."""
    found = _value(path, facts)
    return found and f"CASE jsonb_typeof({found}) WHEN 'number' THEN ({found})::numeric END"


def _odd(number: str) -> str:
    """Return whether a number is not what is read of it: the shortest text of a double.

    Of fifteen digits it always is; an integer beyond 2^53 is kept as text.
    """
    short = f"scale({number}) = 0 OR (scale({number}) <= 4 AND abs({number}) < 1e11)"
    return f"NOT ({short} OR ({number})::float8::text::numeric = {number})"


def _is_told(comparison: Comparison) -> bool:
    """Say whether the server compares as `domain.conditions.values` does."""
    wanted = comparison.value
    if is_number(wanted):
        return comparison.op in _COMPARED and abs(wanted) <= sanitise.EXACT
    return comparison.op == "eq" and (
        isinstance(wanted, bool) or (isinstance(wanted, str) and sanitise.is_text(wanted))
    )


def _leaves(may_change: str, within: Within | None) -> str:
    """Return when the first event leaves a window that moves, of those whose answer that may change."""
    if within is None or within.span is None:
        return "NULL::bigint"
    return f"CASE WHEN {may_change} THEN {_US.format('low')} + {within.span} END"


def _window(within: Within | None, clock: int, facts: Facts) -> str:
    if within is None:
        return ""
    if within.span is not None:
        return f" AND occurred_at > {facts.bind(from_micros(clock - within.span))}"
    bounds = ((">=", within.from_), ("<", within.to))
    instants = ((how, parse_instant(text)) for how, text in bounds if text is not None)
    # What lies outside, by an offset of some hours, is before or after everything.
    return "".join(
        f" AND occurred_at {how} {facts.bind(from_micros(min(max(at, EARLIEST), LATEST)))}"
        for how, at in instants
        if at is not None
    )
