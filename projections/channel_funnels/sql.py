"""The questions about messages, in SQL.

A message that one stream alone shows something of is a row.  Rows of one message that several streams
show are joined by person.  Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from domain.conditions.values import DAY_US
from domain.core.time import to_micros
from domain.events.channels import CHANNEL_STEPS
from projections.channel_funnels.tables import BITS, message
from projections.runtime.projection import Reader

GROUPINGS = ("campaign", "channel", "template", "day")
"""What messages can be told apart by."""

MAX_MERGED_READ = 1_000
"""Users that were merged: as many at most are read at once, of more only those whom a question concerns."""

_FRACTIONS = "ARRAY[0.5, 0.9]"


class MessageFilter(NamedTuple):
    """Which messages."""

    campaign: str | None = None
    channel: str | None = None
    template: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


def _step_duration(step: str) -> str:
    """Return the microseconds since the last step before this one that is known."""
    before = f"coalesce({', '.join(reversed(CHANNEL_STEPS[: CHANNEL_STEPS.index(step)]))})"
    return f"(CASE WHEN {step} < {before} THEN 0 ELSE {step} - {before} END)::float8 AS to_{step}"


_TIMES = ", ".join(_step_duration(it) for it in CHANNEL_STEPS[1:])
_FIRSTS = ", ".join(f"min({it}) AS {it}" for it in CHANNEL_STEPS)
_KNOWN = " ".join(
    f"WHEN {it} IS NOT NULL THEN {place}" for place, it in enumerate(CHANNEL_STEPS, 1)
)
_LOW = f"(CASE WHEN message IS NOT NULL AND NOT shared THEN 1 {_KNOWN} ELSE 1 END)::smallint"
"""``low`` of a message of which several streams show something.  Where these are of different people,
what lies before somebody's own steps is not implied."""

_NO_NESTED_LOOPS = "SET LOCAL enable_nestloop = off"
_BIG_QUERY_LIMITS = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '60s'"


def _messages_cte(
    filter_: MessageFilter, by: Sequence[str], members: object
) -> tuple[str, dict[str, Any]]:
    """Return what goes before a statement about the messages asked for, which are `whole`.

    Those that several streams show are joined by person.  Streams that are somebody else's are looked up
    together: left to itself the planner may read all people for the sake of a few thousand.
    """
    of_row, of_message, asked = ["workspace = %(workspace)s"], list[str](), dict[str, Any]()
    for name in ("campaign", "channel"):
        if (value := getattr(filter_, name)) is not None:
            of_row.append(f"{name} = %({name})s")
            asked[name] = value
    if filter_.template is not None:
        of_message.append("template = %(template)s")
        asked["template"] = filter_.template
    for name, at, compares in (("since", filter_.from_, ">="), ("until", filter_.to, "<")):
        if at is not None:
            of_message.append(f"first_at {compares} %({name})s")
            asked[name] = to_micros(at)
    alone = " AND ".join([*of_row, *of_message, "NOT shared"])
    shared = " AND ".join([*of_row, "shared"])
    keys = "".join(f"{_GROUPS[it]} AS {it}, " for it in by)
    absorbed = f"""SELECT stream, person FROM {members}
        WHERE workspace = %(workspace)s AND person <> stream"""
    those = f"""AND stream = ANY (ARRAY(
        SELECT stream FROM {message} WHERE {alone} AND {{whose}}
        UNION ALL SELECT stream FROM {message} WHERE {shared} AND {{whose}}))"""
    many = f"(SELECT count(*) FROM merged) > {MAX_MERGED_READ}"
    text = f"""
    WITH merged AS MATERIALIZED ({absorbed} AND kind = 'user_id' LIMIT {MAX_MERGED_READ + 1}),
    absorbed AS MATERIALIZED (
        SELECT stream, person FROM merged WHERE NOT {many}
        UNION ALL {absorbed} AND kind = 'user_id' {those.format(whose=f"by_user AND {many}")}
        UNION ALL {absorbed} {those.format(whose="NOT by_user")}
    ), whole AS MATERIALIZED (
        SELECT {keys}coalesce(person, stream) AS person, low, reached, {_TIMES}
        FROM {message} LEFT JOIN absorbed USING (stream) WHERE {alone}
        UNION ALL
        SELECT {keys}person, {_LOW}, reached, {_TIMES} FROM (
            SELECT coalesce(person, stream) AS person, min(template) AS template,
                campaign, channel, message, count(*) OVER (PARTITION BY id) > 1 AS shared,
                min(first_at) AS first_at, {_FIRSTS}, bit_or(reached) AS reached
            FROM {message} LEFT JOIN absorbed USING (stream) WHERE {shared}
            GROUP BY coalesce(person, stream), id, campaign, channel, message
        ) AS joined WHERE {" AND ".join(of_message) or "true"}
    )
    """
    return text, asked


_GROUPS: Mapping[str, str] = {
    "campaign": "campaign",
    "channel": "channel",
    "template": "template",
    "day": f"(first_at - mod(mod(first_at, {DAY_US}) + {DAY_US}, {DAY_US})) / {DAY_US}",
}
"""A day is the number of days since 1970, and that of the message's first time."""


def count_messages(reader: Reader, filter_: MessageFilter, by: Sequence[str]) -> Sequence[Any]:
    """Return how many messages, and persons, there are by group, lowest step, and what they reached.

    Rows of `what`: ``messages``, ``profiles`` (their `low` is 1), or ``times``, which have the quantiles of
    the microseconds to each step but the first.
    """
    whole, asked = _messages_cte(filter_, by, reader.identity_members)
    keys = "".join(f"{it}, " for it in by)
    quantiles = ", ".join(
        f"percentile_cont({_FRACTIONS}) WITHIN GROUP (ORDER BY to_{it})" for it in CHANNEL_STEPS[1:]
    )
    nothing = ", ".join(["NULL::float8[]"] * len(CHANNEL_STEPS[1:]))
    statement = f"""
    {whole}, each AS (
        SELECT {keys}bit_or(reached) AS reached FROM whole GROUP BY {keys}person
    )
    SELECT 'messages' AS what, {keys}low, reached, count(*) AS number, {nothing}
    FROM whole GROUP BY {keys}low, reached
    UNION ALL
    SELECT 'profiles', {keys}1, reached, count(*), {nothing} FROM each GROUP BY {keys}reached
    UNION ALL
    SELECT 'times', {keys}0, 0, 0, {quantiles} FROM whole {_group(by)}
    """
    _set_planner_limits(reader, filter_)
    return reader.tx.exec_driver_sql(statement, asked | {"workspace": reader.workspace}).all()


def _set_planner_limits(reader: Reader, filter_: MessageFilter) -> None:
    """Let messages be joined to people by sorting or hashing alone, and all campaigns take their time.

    Of a workspace that is younger than the server's statistics the planner expects one message, and reads
    all who were absorbed once for each: 17 s for 20,000 (measured).  To go through millions takes seconds.
    """
    room = (
        _NO_NESTED_LOOPS
        if filter_.campaign is not None
        else f"{_NO_NESTED_LOOPS}; {_BIG_QUERY_LIMITS}"
    )
    reader.tx.exec_driver_sql(room)


def _group(by: Sequence[str]) -> str:
    return f"GROUP BY {', '.join(by)}" if by else ""


def profiles_reached(
    reader: Reader, filter_: MessageFilter, step: str, *, lost: bool, after: Any, limit: int
) -> Sequence[Any]:
    """Return the persons of whom a message took a step or outcome, by their ids, one more than the limit.

    ``lost``: those of whom none took a later step, of a step that has one.
    """
    assert not lost or step in CHANNEL_STEPS[:-1]
    whole, asked = _messages_cte(filter_, (), reader.identity_members)
    bit = BITS[step]
    looked_at = bit | bit << 1 if lost else bit
    statement = f"""
    {whole}
    SELECT person, count(*) AS messages FROM whole
    {"" if after is None else "WHERE person > %(after)s"}
    GROUP BY person HAVING bit_or(reached) & {looked_at} = {bit} ORDER BY person LIMIT {limit + 1}
    """
    asked |= {"workspace": reader.workspace, "after": after}
    _set_planner_limits(reader, filter_)
    return reader.tx.exec_driver_sql(statement, asked).all()
