"""Who is in a new segment, told by the server in one statement: of conditions on one kind of event.

It counts, finds the first or last, or sums up as `domain.conditions` do.  People of whom it cannot tell
for sure (an event's time is still to come, a number may not be what a double makes of it) are left to be
asked.  When an answer may change by itself is told too early rather than exactly: it is asked again then.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from domain import paths
from domain.conditions import Condition
from domain.conditions.aggregates import Aggregated
from domain.conditions.events import Occurrence, Performed
from domain.conditions.times import LAST, Within, duration, instant_us, moment
from domain.conditions.values import Comparison, is_number
from domain.profile_state import DECISIONS
from domain.rules import Rule
from domain.since import Since
from projections.segments.driver import cursor
from projections.segments.tables import person, stay, stream
from projections.timeline.tables import MESSAGE, timeline

MOST_DECIMALS, TOO_LARGE = 4, 10**11
"""Numbers of no more decimals, and smaller ones, have no more digits than a double is sure of (15)."""

_COMPARED = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

_ENTER = f"""
WITH theirs AS (
    SELECT stream, {{of_stream}}, min(occurred_at) AS low, bool_or(occurred_at > %(now)s{{odd}}) AS odd
    FROM (
        SELECT stream, occurred_at{{values}} FROM {timeline}
        WHERE workspace = %(workspace)s AND name = %(name)s AND position <= %(position)s
            AND ordinal = {MESSAGE} AND subject IS NOT NULL AND kind <> ALL(%(decisions)s){{window}}
        OFFSET 0
    ) AS events{{where}}
    GROUP BY stream
), asked AS (
    SELECT person, {{of_person}}, min(low) AS low, bool_or(odd) AS odd
    FROM theirs JOIN {stream} AS known USING (stream)
    WHERE known.workspace = %(workspace)s
    GROUP BY person
), told AS MATERIALIZED (
    SELECT person, odd, {{holds}} AS holds, {{due}} AS due FROM asked ORDER BY person
), entered AS (
    INSERT INTO {stay}
    SELECT %(workspace)s, %(segment)s, person, %(at)s, %(position)s, NULL, NULL FROM told
    WHERE holds AND NOT odd
), standing AS (
    INSERT INTO {person} AS known
    SELECT %(workspace)s, person, CASE WHEN holds THEN int8send(%(number)s) ELSE '' END, due FROM told
    WHERE (holds OR due IS NOT NULL) AND NOT odd
    ON CONFLICT (workspace, person) DO UPDATE
    SET inside = known.inside || excluded.inside, due = least(known.due, excluded.due)
)
SELECT person FROM told WHERE odd
"""

_ROOM = "SET LOCAL work_mem = '64MB'"
"""So that a hundred thousand people are sorted in memory: on disk it took a tenth more (measured)."""

_US = "(extract(epoch FROM {}) * 1000000)::bigint"


class Members(NamedTuple):
    """How members are told."""

    sql: Mapping[str, str]
    facts: Mapping[str, Any]

    def enter(self, tx: Connection, workspace: int, rule: Rule, at: Since) -> list[UUID]:
        """Let them enter the segment, and return of whom it cannot be told for sure."""
        asked = {
            **self.facts,
            "workspace": workspace,
            "segment": rule.segment,
            "number": rule.number,
            "at": at.at,
            "position": at.by,
            "now": moment(at.at),
            "decisions": sorted(DECISIONS),
        }
        with cursor(tx) as ask:
            ask.execute(_ROOM)
            return [it for (it,) in ask.execute(_ENTER.format(**self.sql), asked)]


def members_of(condition: Condition, clock: int) -> Members | None:
    """Return how to tell who meets a condition at the clock; None: only one by one."""
    if isinstance(condition, Performed):
        return _performed(condition, clock)
    if isinstance(condition, Occurrence):
        return _occurred(condition, clock)
    if isinstance(condition, Aggregated):
        return _summed(condition, clock)
    return None


def _performed(condition: Performed, clock: int) -> Members | None:
    low, high = condition.count.bounds
    sql = {
        "of_stream": "count(*) AS held",
        "of_person": "sum(held) AS held",
        "holds": "held BETWEEN %(least)s AND %(most)s",
        "due": _leaves("held >= %(least)s", condition.within),
    }
    return _members(condition, clock, condition.within, sql, {"least": low, "most": high or LAST})


def _occurred(condition: Occurrence, clock: int) -> Members | None:
    how = "min" if condition.occurrence == "first" else "max"
    sql = {
        "of_stream": f"{how}(occurred_at) AS held",
        "of_person": f"{how}(held) AS held",
        "holds": f"({_US.format('held')} + %(age)s <= %(at)s) = %(older)s",
        "due": f"CASE WHEN {_US.format('held')} + %(age)s > %(at)s THEN {_US.format('held')} + %(age)s END",
    }
    age = duration(condition.older_than or condition.newer_than)
    facts = {"age": age, "older": condition.older_than is not None}
    return _members(condition, clock, None, sql, facts)


def _summed(condition: Aggregated, clock: int) -> Members | None:
    fn, path, op, value = msgspec.structs.astuple(condition.aggregate)
    found = _value(path, "sum")
    if fn != "sum" or op not in _COMPARED or found is None:
        return None
    holds = f"held {_COMPARED[op]} %(wanted)s"
    # Only then is a sum that does not pass sure not to pass once something has left the window.
    grows = f"{holds} OR least < 0" if op in {"gt", "gte"} else "TRUE"
    sql = {
        "of_stream": "sum(number) AS held, min(number) AS least",
        "of_person": "sum(held) AS held, min(least) AS least",
        "holds": holds,
        "due": _leaves(grows, condition.within),
    }
    facts = {"wanted": Decimal(str(value)), **found.facts}
    return _members(condition, clock, condition.within, sql, facts, summed=found)


class _Found(NamedTuple):
    """A value within the properties, as SQL."""

    sql: str
    facts: Mapping[str, str]


def _members(
    condition: Performed | Occurrence | Aggregated,
    clock: int,
    within: Within | None,
    sql: Mapping[str, str],
    facts: Mapping[str, Any],
    *,
    summed: _Found | None = None,
) -> Members | None:
    if not isinstance(condition.event, str):
        return None
    values, odd, where = list[str](), list[str](), list[str]()
    facts = {**facts, "name": condition.event}
    if summed is not None:
        values.append(f"{_number(summed.sql)} AS number")
        where.append("number IS NOT NULL")
        odd.append(_odd("number"))
    for place, each in enumerate(condition.where):
        found = _value(each.path, f"where_{place}")
        if found is None or not _is_told(each):
            return None
        name, wanted = f"value_{place}", f"wanted_{place}"
        facts |= found.facts
        if is_number(each.value):
            facts[wanted] = Decimal(str(each.value))
            values.append(f"{_number(found.sql)} AS {name}")
            odd.append(_odd(name))
            where.append(f"({name} {_COMPARED[each.op]} %({wanted})s OR {_odd(name)})")
        else:
            facts[wanted] = msgspec.json.encode(each.value).decode()
            values.append(f"{found.sql} AS {name}")
            where.append(f"{name} = %({wanted})s::jsonb")
    window, bounds = _window(within, clock)
    parts = {
        "values": "".join(f", {it}" for it in values),
        "odd": "".join(f" OR {it}" for it in odd),
        "where": " WHERE " + " AND ".join(where) if where else "",
        "window": window,
    }
    return Members({**sql, **parts}, {**facts, **bounds})


def _value(path: str, name: str) -> _Found | None:
    """Return the value at a path; None if the path leads into lists."""
    root, *steps = paths.parse(path)
    if root != "properties" or not steps or None in steps:
        return None
    facts = {f"{name}_{depth}": str(it) for depth, it in enumerate(steps)}
    return _Found("properties" + "".join(f" -> %({it})s::text" for it in facts), facts)


def _number(found: str) -> str:
    return f"CASE jsonb_typeof({found}) WHEN 'number' THEN ({found})::numeric END"


def _odd(number: str) -> str:
    """Return whether a number may not be what a double makes of it; null of no number."""
    return f"(scale({number}) > {MOST_DECIMALS} OR abs({number}) >= {TOO_LARGE})"


def _is_told(comparison: Comparison) -> bool:
    """Say whether the server compares as `domain.conditions.values` does."""
    wanted = comparison.value
    if not is_number(wanted):
        return comparison.op == "eq" and isinstance(wanted, str | bool)
    exponent = Decimal(str(wanted)).as_tuple().exponent
    is_sure = isinstance(exponent, int) and exponent >= -MOST_DECIMALS and abs(wanted) < TOO_LARGE
    return comparison.op in _COMPARED and is_sure


def _leaves(may_change: str, within: Within | None) -> str:
    """Return when the first event leaves a window that moves, of those whose answer that may change."""
    if within is None or within.span is None:
        return "NULL::bigint"
    return f"CASE WHEN {may_change} THEN {_US.format('low')} + {within.span} END"


def _window(within: Within | None, clock: int) -> tuple[str, Mapping[str, Any]]:
    if within is None:
        return "", {}
    if within.span is not None:
        return " AND occurred_at > %(after)s", {"after": moment(clock - within.span)}
    given = {"from": within.from_, "to": within.to}
    instants = {
        it: moment(at) for it, text in given.items() if (at := instant_us(text or "")) is not None
    }
    compared = {"from": ">=", "to": "<"}
    return "".join(f" AND occurred_at {compared[it]} %({it})s" for it in instants), instants
