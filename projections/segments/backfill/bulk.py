"""Who is in a new segment, told by the server in one statement: of conditions on events, and groups of them.

Those of whom it cannot be sure are left to be asked one by one: see `leaves`.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition, EvaluationInput
from domain.conditions.groups import AllOf, ConditionGroup, NoneOf
from domain.core.ledger_time import Cause
from domain.core.time import from_micros
from domain.evaluation.segment_index import CompiledSegment
from domain.profiles.state import COMMAND_KINDS
from projections.kit.driver import binary_cursor
from projections.segments.backfill.condition_sql import BindParams, compile_leaf, flips_with_time
from projections.segments.tables import member, membership_state, stream

MAX_LEAVES = 8
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
    UPDATE {membership_state} AS known
    SET inside = known.inside || standing.inside, due = least(known.due, standing.due)
    FROM standing WHERE known.workspace = %(workspace)s AND known.person = standing.person
), new AS (
    INSERT INTO {membership_state} SELECT %(workspace)s, standing.* FROM standing
    WHERE NOT EXISTS (
        SELECT FROM {membership_state} AS known
        WHERE known.workspace = %(workspace)s AND known.person = standing.person
    )
)
SELECT person FROM told WHERE odd
"""

_ALL_PROFILES = f"""(
    SELECT person FROM {stream} WHERE workspace = %(workspace)s
    GROUP BY person HAVING count(first_at) > 0
) AS everybody"""

_PLANNER_SETTINGS = ("SET LOCAL work_mem = '64MB'", "SET LOCAL enable_sort = off")
_RESET_SETTINGS = ("SET LOCAL work_mem TO DEFAULT", "SET LOCAL enable_sort TO DEFAULT")
"""So that events are gathered in memory, and not sorted first: on disk it took a tenth more, sorted 7 % (measured)."""


class MembersQuery(NamedTuple):
    """How members are told."""

    statement: str
    params: dict[str, Any]

    def insert_members(
        self, tx: Connection, workspace: int, segment: CompiledSegment, cause: Cause
    ) -> list[UUID]:
        """Let them enter the segment, and return of whom it cannot be told for sure."""
        asked = {
            **self.params,
            "workspace": workspace,
            "segment": segment.id,
            "number": segment.stored_id,
            "at": cause.at,
            "position": cause.position,
            "now": from_micros(cause.at),
            "decisions": sorted(COMMAND_KINDS),
        }
        with binary_cursor(tx) as ask:
            for setting in _PLANNER_SETTINGS:
                ask.execute(setting)
            unsure = [it for (it,) in ask.execute(self.statement, asked)]
            for setting in _RESET_SETTINGS:
                ask.execute(setting)
        return unsure


def compile_members_query(condition: Condition, clock: int) -> MembersQuery | None:
    """Return how to tell who meets a condition at the clock; None: only one by one."""
    stated = _ConditionCompiler(clock)
    holds = stated.compile(condition)
    if holds is None or not 0 < len(stated.leaves) <= MAX_LEAVES:
        return None
    names, due = list(stated.leaves), f"least({', '.join(f'{name}.due' for name in stated.leaves)})"
    if True not in _flips_with_time(condition):
        due = f"CASE WHEN {holds} THEN {due} END"
    first, join = (
        (_ALL_PROFILES, "LEFT")
        if condition.holds(_EMPTY_PROFILE, clock)
        else (names.pop(0), "FULL")
    )
    statement = _ENTER.format(
        parts=", ".join(f"{name} AS ({sql})" for name, sql in stated.leaves.items()),
        odd=" OR ".join(f"coalesce({name}.odd, FALSE)" for name in stated.leaves),
        holds=holds,
        due=due,
        people=" ".join([first, *(f"{join} JOIN {name} USING (person)" for name in names)]),
    )
    return MembersQuery(statement, stated.params.values)


def _flips_with_time(condition: Condition) -> frozenset[bool]:
    """Return what the answer may become because time goes by, and nothing else does."""
    if isinstance(condition, ConditionGroup):
        answers = frozenset[bool]().union(*map(_flips_with_time, condition.parts))
        return frozenset(not it for it in answers) if isinstance(condition, NoneOf) else answers
    return flips_with_time(condition)


_EMPTY_PROFILE = EvaluationInput({})
"""Somebody of whom nothing is known."""


class _ConditionCompiler:
    """A condition as SQL, over what is told of its parts."""

    def __init__(self, clock: int) -> None:
        self._clock = clock
        self.leaves: dict[str, str] = {}
        self.params = BindParams()

    def compile(self, condition: Condition) -> str | None:
        """Return whether it holds; None: it cannot be told."""
        if isinstance(condition, ConditionGroup):
            return self._compile_group(condition)
        sql = compile_leaf(condition, self._clock, self.params)
        if sql is None:
            return None
        name = f"part_{len(self.leaves)}"
        self.leaves[name] = sql
        return f"coalesce({name}.holds, {condition.holds(_EMPTY_PROFILE, self._clock)})"

    def _compile_group(self, group: ConditionGroup) -> str | None:
        found = [self.compile(it) for it in group.parts]
        answers = [it for it in found if it is not None]
        if len(answers) < len(found):
            return None
        if isinstance(group, AllOf):
            return f"({' AND '.join(['TRUE', *answers])})"
        return f"({'NOT ' * isinstance(group, NoneOf)}({' OR '.join(['FALSE', *answers])}))"
