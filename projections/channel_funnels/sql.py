"""SQL of message funnels.

A message that only one stream has reported is a row.  The rows of one message that several streams
have reported are merged by profile.  Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.conditions.values import DAY_US
from domain.core.time import to_micros
from domain.events.channels import CHANNEL_STEPS
from projections.channel_funnels.tables import BITS, message
from projections.runtime.ports import IdentityPort

GROUPINGS = ("campaign", "channel", "template", "day")
"""What messages can be grouped by."""

MAX_MERGED_READ = 1_000
"""Merged users that are read at once; if there are more, only those that the question concerns are read."""

_FRACTIONS = "ARRAY[0.5, 0.9]"


class MessageFilter(NamedTuple):
    """Which messages a question is about; None does not filter."""

    campaign: str | None = None
    channel: str | None = None
    template: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


class _Where:
    """SQL conditions that are joined by AND, and the parameters that they bind."""

    def __init__(self, *conditions: str) -> None:
        self.conditions = list(conditions)
        self.params: dict[str, Any] = {}

    def add(self, condition: str, name: str, value: object) -> None:
        """Adds a condition on the parameter ``name``, unless the value is None."""
        if value is not None:
            self.conditions.append(f"{condition} %({name})s")
            self.params[name] = value

    def sql(self, *more: str) -> str:
        return " AND ".join([*self.conditions, *more]) or "true"


def _step_duration(step: str) -> str:
    """Returns the SQL of the microseconds since the latest step before this one that is known."""
    before = f"coalesce({', '.join(reversed(CHANNEL_STEPS[: CHANNEL_STEPS.index(step)]))})"
    return f"(CASE WHEN {step} < {before} THEN 0 ELSE {step} - {before} END)::float8 AS to_{step}"


_DURATIONS = ", ".join(_step_duration(step) for step in CHANNEL_STEPS[1:])
_FIRST_TIMES = ", ".join(f"min({step}) AS {step}" for step in CHANNEL_STEPS)
_FIRST_KNOWN_STEP = " ".join(
    f"WHEN {step} IS NOT NULL THEN {number}" for number, step in enumerate(CHANNEL_STEPS, 1)
)
_IMPLIED_FROM = f"(CASE WHEN message IS NOT NULL AND NOT shared THEN 1 {_FIRST_KNOWN_STEP} ELSE 1 END)::smallint"
"""``implied_from`` of a message that several streams have reported.  If these are of different profiles,
the steps before a profile's own first step are not implied."""

_GROUP_COLUMNS: Mapping[str, str] = {
    "campaign": "campaign",
    "channel": "channel",
    "template": "template",
    "day": f"(first_at - mod(mod(first_at, {DAY_US}) + {DAY_US}, {DAY_US})) / {DAY_US}",
}
"""A day is the number of days since 1970 of the message's first time."""

_MESSAGES = """
WITH merged_users AS MATERIALIZED (
    SELECT stream, profile_id FROM {members}
    WHERE workspace = %(workspace)s AND profile_id <> stream AND kind = 'user_id' LIMIT {max_merged}
), member_streams AS MATERIALIZED (
    SELECT stream, profile_id FROM merged_users WHERE NOT {too_many}
    UNION ALL
    SELECT stream, profile_id FROM {members}
    WHERE workspace = %(workspace)s AND profile_id <> stream AND kind = 'user_id'
        AND stream = ANY (ARRAY(
            SELECT stream FROM {message} WHERE {single_rows} AND by_user AND {too_many}
            UNION ALL SELECT stream FROM {message} WHERE {shared_rows} AND by_user AND {too_many}))
    UNION ALL
    SELECT stream, profile_id FROM {members}
    WHERE workspace = %(workspace)s AND profile_id <> stream
        AND stream = ANY (ARRAY(
            SELECT stream FROM {message} WHERE {single_rows} AND NOT by_user
            UNION ALL SELECT stream FROM {message} WHERE {shared_rows} AND NOT by_user))
), messages AS MATERIALIZED (
    SELECT {groups} coalesce(profile_id, stream) AS profile_id, implied_from, reached_bits, {durations}
    FROM {message} LEFT JOIN member_streams USING (stream) WHERE {single_rows}
    UNION ALL
    SELECT {groups} profile_id, {implied_from}, reached_bits, {durations} FROM (
        SELECT coalesce(profile_id, stream) AS profile_id, min(template) AS template,
            campaign, channel, message, count(*) OVER (PARTITION BY id) > 1 AS shared,
            min(first_at) AS first_at, {first_times}, bit_or(reached_bits) AS reached_bits
        FROM {message} LEFT JOIN member_streams USING (stream) WHERE {shared_rows}
        GROUP BY coalesce(profile_id, stream), id, campaign, channel, message
    ) AS merged_messages WHERE {merged_filters}
)
"""
"""The messages that a question is about.

``member_streams`` are the streams that belong to the profile of another one.  They are looked up together:
left to itself, the planner may read all profiles for the sake of a few thousand.  The LIMIT is spelt out,
because as a parameter it is unknown to the planner.
"""

_COUNTS = """
{messages}, profiles AS (
    SELECT {keys} bit_or(reached_bits) AS reached_bits FROM messages GROUP BY {keys} profile_id
)
SELECT 'messages' AS kind, {keys} implied_from, reached_bits, count(*) AS count, {nulls}
FROM messages GROUP BY {keys} implied_from, reached_bits
UNION ALL
SELECT 'profiles', {keys} 1, reached_bits, count(*), {nulls} FROM profiles GROUP BY {keys} reached_bits
UNION ALL
SELECT 'times', {keys} 0, 0, 0, {quantiles} FROM messages {group_by}
"""

_PROFILES = """
{messages}
SELECT profile_id, count(*) AS messages FROM messages WHERE {page}
GROUP BY profile_id HAVING bit_or(reached_bits) & {bits} = {expected_bits}
ORDER BY profile_id LIMIT {limit}
"""

_QUANTILES = ", ".join(
    f"percentile_cont({_FRACTIONS}) WITHIN GROUP (ORDER BY to_{step})" for step in CHANNEL_STEPS[1:]
)
_NO_QUANTILES = ", ".join(["NULL::float8[]"] * len(CHANNEL_STEPS[1:]))

_NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"
_BIG_QUERY_LIMITS = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '60s'"


def _messages_cte(
    reader: IdentityPort, filter_: MessageFilter, by: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Returns the CTEs that end with ``messages``, and their parameters."""
    rows, merged = _Where("workspace = %(workspace)s"), _Where()
    rows.add("campaign =", "campaign", filter_.campaign)
    rows.add("channel =", "channel", filter_.channel)
    merged.add("template =", "template", filter_.template)
    merged.add("first_at >=", "since", None if filter_.from_ is None else to_micros(filter_.from_))
    merged.add("first_at <", "until", None if filter_.to is None else to_micros(filter_.to))
    sql = _MESSAGES.format(
        members=reader.identity_members,
        message=message,
        max_merged=MAX_MERGED_READ + 1,
        too_many=f"(SELECT count(*) FROM merged_users) > {MAX_MERGED_READ}",
        groups="".join(f"{_GROUP_COLUMNS[name]} AS {name}, " for name in by),
        durations=_DURATIONS,
        first_times=_FIRST_TIMES,
        implied_from=_IMPLIED_FROM,
        single_rows=rows.sql(*merged.conditions, "NOT shared"),
        shared_rows=rows.sql("shared"),
        merged_filters=merged.sql(),
    )
    return sql, {"workspace": reader.workspace} | rows.params | merged.params


def count_messages(
    reader: IdentityPort, filter_: MessageFilter, by: Sequence[str]
) -> Sequence[Any]:
    """Returns the number of messages and profiles by group, implied step and steps reached.

    Each row begins with its kind: ``messages``, ``profiles`` (``implied_from`` is 1), or ``times``, which
    has the quantiles of the microseconds to each step but the first.
    """
    messages, params = _messages_cte(reader, filter_, by)
    statement = _COUNTS.format(
        messages=messages,
        keys="".join(f"{name}, " for name in by),
        nulls=_NO_QUANTILES,
        quantiles=_QUANTILES,
        group_by=f"GROUP BY {', '.join(by)}" if by else "",
    )
    _set_planner_limits(reader, filter_)
    return reader.tx.exec_driver_sql(statement, params).all()


def profiles_reached(
    reader: IdentityPort,
    filter_: MessageFilter,
    step: str,
    *,
    lost: bool,
    after: UUID | None,
    limit: int,
) -> Sequence[Any]:
    """Returns the profiles with a message that took a step, by id, one more than the limit.

    ``lost``: only those with no message that took the next step; the step is not the last one.
    """
    assert not lost or step in CHANNEL_STEPS[:-1]
    messages, params = _messages_cte(reader, filter_, ())
    page = _Where()
    page.add("profile_id >", "after", after)
    bit = BITS[step]
    statement = _PROFILES.format(
        messages=messages,
        page=page.sql(),
        bits=bit | bit << 1 if lost else bit,
        expected_bits=bit,
        limit=limit + 1,
    )
    _set_planner_limits(reader, filter_)
    return reader.tx.exec_driver_sql(statement, params | page.params).all()


def _set_planner_limits(reader: IdentityPort, filter_: MessageFilter) -> None:
    """Sets the planner and the limits for a question about messages, until the transaction ends.

    Without nested loops, messages are joined to profiles by sorting or hashing alone: of a workspace that
    is younger than the server's statistics the planner expects one message, and reads all merged streams
    once for each: 17 s for 20,000 messages (measured).  A question about all campaigns reads millions of
    rows, which takes seconds, so it gets more memory and time.
    """
    settings = (
        _NO_NESTED_LOOPS
        if filter_.campaign is not None
        else f"{_NO_NESTED_LOOPS}; {_BIG_QUERY_LIMITS}"
    )
    reader.tx.exec_driver_sql(settings)
