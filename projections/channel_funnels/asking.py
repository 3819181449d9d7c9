"""The questions about messages, in SQL.

A message that one stream alone shows something of is a row.  Rows of one message that several streams
show are joined by person.  Times are microseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from domain.channels import OUTCOMES, STEPS
from domain.conditions.times import microseconds
from domain.conditions.values import DAY_US
from projections.base import Reader
from projections.channel_funnels.tables import message

BY = ("campaign", "channel", "template", "day")
"""What messages can be told apart by."""

_FRACTIONS = "ARRAY[0.5, 0.9]"
_UNSURE = "(message IS NULL OR shared)"
"""A message of which other people may show the beginning: what lies before its own steps is not implied."""


class Which(NamedTuple):
    """Which messages."""

    campaign: str | None = None
    channel: str | None = None
    template: str | None = None
    from_: datetime | None = None
    to: datetime | None = None


def _before(step: str) -> str:
    """Return when the message took the last step before this one, as far as is known."""
    return f"coalesce({', '.join(reversed(STEPS[: STEPS.index(step)]))})"


_KNOWN = [f"WHEN {it} IS NOT NULL THEN {place}" for place, it in enumerate(STEPS, 1)]
_HIGH = f"CASE {' '.join(reversed(_KNOWN))} ELSE 0 END"
"""The furthest step of a message: 0 is none, 1 is sent."""

_LOW = f"CASE WHEN NOT {_UNSURE} THEN 1 {' '.join(_KNOWN)} ELSE 1 END"
"""From which step on steps are implied."""

_ROOM = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '60s'"
_TIMES = ", ".join(STEPS)
_FIRSTS = ", ".join(f"min({it}) AS {it}" for it in STEPS)


def _whole(which: Which, by: Sequence[str], members: object) -> tuple[str, dict[str, Any]]:
    """Return the messages asked for, joined by person where several streams show one."""
    of_row, of_message, asked = ["workspace = %(workspace)s"], list[str](), dict[str, Any]()
    for name in ("campaign", "channel"):
        if (value := getattr(which, name)) is not None:
            of_row.append(f"{name} = %({name})s")
            asked[name] = value
    if which.template is not None:
        of_message.append("template = %(template)s")
        asked["template"] = which.template
    for name, at, compares in (("since", which.from_, ">="), ("until", which.to, "<")):
        if at is not None:
            of_message.append(f"first_at {compares} %({name})s")
            asked[name] = microseconds(at)
    grouped = "".join(f"{_GROUPS[it]} AS {it}, " for it in by)
    alone = " AND ".join([*of_row, *of_message, "NOT shared"])
    text = f"""
    SELECT {grouped}stream, by_user, {_TIMES}, others, {_LOW} AS low, {_HIGH} AS high
    FROM {message} WHERE {alone}
    UNION ALL
    SELECT {grouped}stream, NULL, {_TIMES}, others, {_LOW}, {_HIGH} FROM (
        SELECT coalesce(member.person, each.stream) AS stream, min(template) AS template,
            campaign, channel, message,
            count(*) OVER (PARTITION BY id) > 1 AS shared, min(first_at) AS first_at,
            {_FIRSTS}, bit_or(others) AS others
        FROM {message} AS each LEFT JOIN {members} AS member USING (workspace, stream)
        WHERE {" AND ".join(of_row)} AND shared
        GROUP BY coalesce(member.person, each.stream), id, campaign, channel, message
    ) AS joined WHERE {" AND ".join(of_message) or "true"}
    """
    return text, asked


def _persons(whole: str, members: object) -> str:
    """Return what goes before a statement about the messages: `whole`, and `absorbed`.

    Streams that are somebody else's are looked up together, those of users among the few that were merged.
    Left to itself the planner may read all people for the sake of a few thousand.
    """
    absorbed = f"""
        SELECT stream, person FROM {members} WHERE workspace = %(workspace)s AND person <> stream
            AND stream = ANY (ARRAY(SELECT stream FROM whole WHERE {{whose}}))"""
    return f"""
    WITH whole AS MATERIALIZED ({whole}), absorbed AS MATERIALIZED (
        {absorbed.format(whose="by_user")} AND kind = 'user_id'
        UNION ALL {absorbed.format(whose="NOT by_user")}
    )
    """


_PERSON = "coalesce(absorbed.person, whole.stream)"


_GROUPS: Mapping[str, str] = {
    "campaign": "campaign",
    "channel": "channel",
    "template": "template",
    "day": f"(first_at - mod(mod(first_at, {DAY_US}) + {DAY_US}, {DAY_US})) / {DAY_US}",
}
"""A day is the number of days since 1970, and that of the message's first time."""


def counted(reader: Reader, which: Which, by: Sequence[str]) -> Sequence[Any]:
    """Return how many messages, and persons, there are by group, lowest and furthest step, and outcomes.

    Rows of `what`: ``messages``, ``profiles`` (their `low` is 1), or ``times``, which have the quantiles.
    """
    whole, asked = _whole(which, by, reader.whose)
    keys = "".join(f"{it}, " for it in by)
    quantiles = ", ".join(
        f"percentile_cont({_FRACTIONS}) WITHIN GROUP"
        f" (ORDER BY greatest({it} - {_before(it)}, 0) / 1000000.0::float8)"
        f" FILTER (WHERE {it} - {_before(it)} IS NOT NULL)"
        if place
        else "NULL::float8[]"
        for place, it in enumerate(STEPS)
    )
    nothing = ", ".join(["NULL::float8[]"] * len(STEPS))
    statement = f"""
    {_persons(whole, reader.whose)}, person AS (
        SELECT {keys}max(high) AS high, bit_or(others) AS others
        FROM whole LEFT JOIN absorbed USING (stream)
        GROUP BY {keys}{_PERSON}
    )
    SELECT 'messages' AS what, {keys}low, high, others, count(*) AS number, {nothing}
    FROM whole GROUP BY {keys}low, high, others
    UNION ALL
    SELECT 'profiles', {keys}1, high, others, count(*), {nothing}
    FROM person GROUP BY {keys}high, others
    UNION ALL
    SELECT 'times', {keys}0, 0, 0, 0, {quantiles} FROM whole {_group(by)}
    """
    _make_room(reader, which)
    return reader.tx.exec_driver_sql(statement, asked | {"workspace": reader.workspace}).all()


def _make_room(reader: Reader, which: Which) -> None:
    """Give a question about all campaigns what it takes to go through every message: seconds, for millions."""
    if which.campaign is None:
        reader.tx.exec_driver_sql(_ROOM)


def _group(by: Sequence[str]) -> str:
    return f"GROUP BY {', '.join(by)}" if by else ""


def persons(
    reader: Reader, which: Which, step: str, *, lost: bool, after: Any, limit: int
) -> Sequence[Any]:
    """Return the persons of whom a message took a step or outcome, by their ids, one more than the limit.

    ``lost``: those of whom none took a later step.
    """
    whole, asked = _whole(which, (), reader.whose)
    if step in STEPS:
        met = f"max(high) {'=' if lost else '>='} {STEPS.index(step) + 1}"
    else:
        met = f"bit_or(others) & {1 << OUTCOMES.index(step)} <> 0"
    statement = f"""
    {_persons(whole, reader.whose)}
    SELECT {_PERSON} AS person, count(*) AS messages
    FROM whole LEFT JOIN absorbed USING (stream)
    {"" if after is None else f"WHERE {_PERSON} > %(after)s"}
    GROUP BY 1 HAVING {met} ORDER BY 1 LIMIT {limit + 1}
    """
    asked |= {"workspace": reader.workspace, "after": after}
    _make_room(reader, which)
    return reader.tx.exec_driver_sql(statement, asked).all()
