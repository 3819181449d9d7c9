"""Finds the members of a new segment in one SQL statement.

Possible for the conditions in `SQL_COMPILERS`.  Profiles for which SQL may be wrong are returned, to be
evaluated one by one: see `condition_sql`.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.conditions import Condition
from domain.core.ledger_time import Cause
from domain.core.time import from_micros
from domain.evaluation.segment_order import CompiledSegment
from domain.profiles.state import COMMAND_KINDS
from projections.kit.driver import binary_cursor
from projections.segments.backfill.compilation import EMPTY_PROFILE, Compilation
from projections.segments.backfill.sql_compilers import SQL_COMPILERS
from projections.segments.tables import member, membership_state, stream

MAX_LEAVES = 8
"""Maximum conditions of one statement; the planner takes too long over more joins."""

_INSERT_MEMBERS = f"""
WITH {{leaves}}, matched AS MATERIALIZED (
    SELECT profile, {{needs_recheck}} AS needs_recheck, {{holds}} AS holds, {{next_timer}} AS next_timer
    FROM {{profiles}} ORDER BY profile
), entered AS (
    INSERT INTO {member} SELECT %(workspace)s, %(segment)s, profile, %(at)s, %(position)s FROM matched
    WHERE holds AND NOT needs_recheck
), new_state AS (
    SELECT profile,
        CASE WHEN holds THEN int8send(%(stored_id)s) || int8send(%(at)s) ELSE '' END AS member_of, next_timer
    FROM matched WHERE (holds OR next_timer IS NOT NULL) AND NOT needs_recheck
), updated AS (
    UPDATE {membership_state} AS stored
    SET member_of = stored.member_of || new_state.member_of,
        next_timer = least(stored.next_timer, new_state.next_timer)
    FROM new_state WHERE stored.workspace = %(workspace)s AND stored.profile = new_state.profile
), inserted AS (
    INSERT INTO {membership_state} SELECT %(workspace)s, new_state.* FROM new_state
    WHERE NOT EXISTS (
        SELECT FROM {membership_state} AS stored
        WHERE stored.workspace = %(workspace)s AND stored.profile = new_state.profile
    )
)
SELECT profile FROM matched WHERE needs_recheck
"""

_ALL_PROFILES = f"""(
    SELECT profile FROM {stream} WHERE workspace = %(workspace)s
    GROUP BY profile HAVING count(first_event_at) > 0
) AS all_profiles"""

_PLANNER_SETTINGS = ("SET LOCAL work_mem = '64MB'", "SET LOCAL enable_sort = off")
_RESET_SETTINGS = ("SET LOCAL work_mem TO DEFAULT", "SET LOCAL enable_sort TO DEFAULT")
"""So that events are hashed in memory: with files on disk it took a tenth more, sorted 7 % (measured)."""


class MembersQuery(NamedTuple):
    """A statement that inserts the members of a segment, and its own parameters."""

    statement: str
    params: dict[str, Any]

    def insert_members(
        self, tx: Connection, workspace: int, segment: CompiledSegment, cause: Cause
    ) -> list[UUID]:
        """Inserts the members; returns the profiles that have to be evaluated one by one."""
        params = {
            **self.params,
            "workspace": workspace,
            "segment": segment.id,
            "stored_id": segment.stored_id,
            "at": cause.at,
            "position": cause.position,
            "now": from_micros(cause.at),
            "command_kinds": sorted(COMMAND_KINDS),
        }
        with binary_cursor(tx) as cursor:
            for setting in _PLANNER_SETTINGS:
                cursor.execute(setting)
            to_recheck = [profile for (profile,) in cursor.execute(self.statement, params)]
            for setting in _RESET_SETTINGS:
                cursor.execute(setting)
        return to_recheck


def compile_members_query(condition: Condition, clock: int) -> MembersQuery | None:
    """Returns the query for the profiles that meet a condition at a clock, in microseconds.

    None if SQL cannot evaluate the condition.
    """
    compilation = Compilation(clock, SQL_COMPILERS)
    holds = compilation.compile(condition)
    if holds is None or not 0 < len(compilation.leaves) <= MAX_LEAVES:
        return None
    names = list(compilation.leaves)
    next_timer = f"least({', '.join(f'{name}.next_timer' for name in names)})"
    if True not in condition.flips_with_time:
        next_timer = f"CASE WHEN {holds} THEN {next_timer} END"
    if condition.holds(EMPTY_PROFILE, clock):
        profiles = [_ALL_PROFILES, *(f"LEFT JOIN {name} USING (profile)" for name in names)]
    else:
        profiles = [names[0], *(f"FULL JOIN {name} USING (profile)" for name in names[1:])]
    statement = _INSERT_MEMBERS.format(
        leaves=", ".join(f"{name} AS ({sql})" for name, sql in compilation.leaves.items()),
        needs_recheck=" OR ".join(f"coalesce({name}.needs_recheck, FALSE)" for name in names),
        holds=holds,
        next_timer=next_timer,
        profiles=" ".join(profiles),
    )
    return MembersQuery(statement, compilation.params)
