"""Who reached a goal after an exposure: from the timeline, and from what is known of messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from domain.core.time import to_micros
from domain.events.channels import STEPS, channel_of
from domain.events.payload import name_of
from domain.funnels.goals import Goal, Touched
from domain.funnels.tally import Tally
from domain.funnels.walks import Sieve, Walk
from projections.channel_funnels.tables import message
from projections.funnels.walking import FIRST, LAST, Gone, bound, happenings, in_order, instant
from projections.runtime.projection import Reader

EXPOSED, DONE = 1, 2
"""The bits of the two steps."""


def count(reader: Reader, goal: Goal, clock: datetime) -> dict[str, Any]:
    """Return how many were exposed by the clock, and how many of them did it in time."""
    tally = Tally(2)
    for person in exposed(reader, goal, clock):
        tally.add(person.times)
    first, second = tally.counted()
    return {
        "exposed": first.profiles,
        "converted": second.profiles,
        "conversion": second.conversion,
        "seconds_p50": second.seconds_p50,
    }


def exposed(
    reader: Reader, goal: Goal, clock: datetime, *, after: UUID | None = None
) -> Iterator[Gone]:
    """Give out who was exposed by the clock, by their ids, those after one of them."""
    funnel = goal.funnel
    sieve = Sieve(funnel.steps)
    since, until = bound(funnel.from_, FIRST), bound(funnel.to, LAST)
    first, last = to_micros(since), to_micros(until)
    events, asked = happenings(reader, funnel, since, LAST, clock)
    by_message = isinstance(goal.exposure, Touched)
    if isinstance(goal.exposure, Touched):
        touched, more = _touched(reader, goal.exposure, first, min(last, to_micros(clock) + 1))
        events, asked = f"{events} UNION ALL {touched}", asked | more
    for person, rows in groupby(in_order(reader, events, asked, after), itemgetter(0)):
        walk = Walk(2)
        for _, sent, name, properties in rows:
            at = instant(sent)
            bits = EXPOSED if name is None else sieve.bits(name, properties) << by_message
            if not first <= at < last:
                bits &= DONE
            if bits:
                walk.add(at, bits)
        times = walk.furthest(funnel.span)
        if times:
            yield Gone(UUID(bytes=person), times)


def _touched(
    reader: Reader, exposure: Touched, first: int, last: int
) -> tuple[str, dict[str, Any]]:
    """Return the SQL of when messages took the step, or a later one that implies it."""
    at = f"least({', '.join(STEPS[STEPS.index(exposure.step) :])})"
    asked: dict[str, Any] = {"first": first, "last": last}
    met = [f"{at} >= %(first)s", f"{at} < %(last)s"]
    for name, spelt in (("campaign", name_of), ("channel", channel_of), ("template", name_of)):
        if (value := getattr(exposure, name)) is not None:
            met.append(f"{name} = %({name})s")
            asked[name] = spelt(value)
    return (
        f"""
        SELECT coalesce(member.person, message.stream),
            timestamptz 'epoch' + {at} * interval '1 microsecond', NULL, NULL, message.id
        FROM {message} AS message LEFT JOIN {reader.whose} AS member
            ON member.workspace = message.workspace AND member.stream = message.stream
        WHERE message.workspace = %(workspace)s AND {" AND ".join(met)}
        """,
        asked,
    )
