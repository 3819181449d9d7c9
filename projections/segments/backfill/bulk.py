"""Who is in a new segment, told by the server in one statement: of conditions on events, and groups of them.

Those of whom it cannot be sure are left to be asked one by one: see `leaves`.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition, Known
from domain.conditions.groups import All, Group, None_
from domain.core.ledger_time import Since
from domain.core.time import from_micros
from domain.evaluation.segment_index import Rule
from domain.profiles.state import DECISIONS
from projections.kit.driver import cursor
from projections.segments.backfill.condition_sql import Facts, by_time, told
from projections.segments.tables import member, person, stream

MOST_PARTS = 8
"""Of more conditions one statement would be for the planner to get lost in."""

_ENTER = f"""
WITH {{parts}}, told AS MATERIALIZED (
    SELECT person, {{odd}} AS odd, {{holds}} AS holds, {{due}} AS due FROM {{people}} ORDER BY person
), entered AS (
    INSERT INTO {member} SELECT %(workspace)s, %(segment)s, person, %(at)s, %(position)s FROM told
    WHERE holds AND NOT odd
), standing AS (
    SELECT person, CASE WHEN holds THEN int8send(%(number)s) || int8send(%(at)s) ELSE '' END AS inside, due
    FROM told WHERE (holds OR due IS NOT NULL) AND NOT odd
), known AS (
    UPDATE {person} AS known
    SET inside = known.inside || standing.inside, due = least(known.due, standing.due)
    FROM standing WHERE known.workspace = %(workspace)s AND known.person = standing.person
), new AS (
    INSERT INTO {person} SELECT %(workspace)s, standing.* FROM standing
    WHERE NOT EXISTS (
        SELECT FROM {person} AS known
        WHERE known.workspace = %(workspace)s AND known.person = standing.person
    )
)
SELECT person FROM told WHERE odd
"""

_EVERYBODY = f"""(
    SELECT person FROM {stream} WHERE workspace = %(workspace)s
    GROUP BY person HAVING count(first_at) > 0
) AS everybody"""

_ROOM = ("SET LOCAL work_mem = '64MB'", "SET LOCAL enable_sort = off")
_NO_ROOM = ("SET LOCAL work_mem TO DEFAULT", "SET LOCAL enable_sort TO DEFAULT")
"""So that events are gathered in memory, and not sorted first: on disk it took a tenth more, sorted 7 % (measured)."""


class Members(NamedTuple):
    """How members are told."""

    statement: str
    facts: dict[str, Any]

    def enter(self, tx: Connection, workspace: int, rule: Rule, at: Since) -> list[UUID]:
        """Let them enter the segment, and return of whom it cannot be told for sure."""
        asked = {
            **self.facts,
            "workspace": workspace,
            "segment": rule.segment,
            "number": rule.number,
            "at": at.at,
            "position": at.by,
            "now": from_micros(at.at),
            "decisions": sorted(DECISIONS),
        }
        with cursor(tx) as ask:
            for setting in _ROOM:
                ask.execute(setting)
            unsure = [it for (it,) in ask.execute(self.statement, asked)]
            for setting in _NO_ROOM:
                ask.execute(setting)
        return unsure


def members_of(condition: Condition, clock: int) -> Members | None:
    """Return how to tell who meets a condition at the clock; None: only one by one."""
    stated = _Statement(clock)
    holds = stated.holds(condition)
    if holds is None or not 0 < len(stated.parts) <= MOST_PARTS:
        return None
    names, due = list(stated.parts), f"least({', '.join(f'{name}.due' for name in stated.parts)})"
    if True not in _by_time(condition):
        due = f"CASE WHEN {holds} THEN {due} END"
    first, join = (
        (_EVERYBODY, "LEFT") if condition.holds(_STRANGER, clock) else (names.pop(0), "FULL")
    )
    statement = _ENTER.format(
        parts=", ".join(f"{name} AS ({sql})" for name, sql in stated.parts.items()),
        odd=" OR ".join(f"coalesce({name}.odd, FALSE)" for name in stated.parts),
        holds=holds,
        due=due,
        people=" ".join([first, *(f"{join} JOIN {name} USING (person)" for name in names)]),
    )
    return Members(statement, stated.facts.values)


def _by_time(condition: Condition) -> frozenset[bool]:
    """Return what the answer may become because time goes by, and nothing else does."""
    if isinstance(condition, Group):
        answers = frozenset[bool]().union(*map(_by_time, condition.parts))
        return frozenset(not it for it in answers) if isinstance(condition, None_) else answers
    return by_time(condition)


_STRANGER = Known({})
"""Somebody of whom nothing is known."""


class _Statement:
    """A condition as SQL, over what is told of its parts."""

    def __init__(self, clock: int) -> None:
        self._clock = clock
        self.parts: dict[str, str] = {}
        self.facts = Facts()

    def holds(self, condition: Condition) -> str | None:
        """Return whether it holds; None: it cannot be told."""
        if isinstance(condition, Group):
            return self._together(condition)
        sql = told(condition, self._clock, self.facts)
        if sql is None:
            return None
        name = f"part_{len(self.parts)}"
        self.parts[name] = sql
        return f"coalesce({name}.holds, {condition.holds(_STRANGER, self._clock)})"

    def _together(self, group: Group) -> str | None:
        found = [self.holds(it) for it in group.parts]
        answers = [it for it in found if it is not None]
        if len(answers) < len(found):
            return None
        if isinstance(group, All):
            return f"({' AND '.join(['TRUE', *answers])})"
        return f"({'NOT ' * isinstance(group, None_)}({' OR '.join(['FALSE', *answers])}))"
