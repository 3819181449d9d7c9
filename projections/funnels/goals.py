"""Who reached a goal after an exposure: from the timeline, and from what is known of messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from domain.core.time import to_micros
from domain.events.channels import CHANNEL_STEPS, canonical_channel
from domain.events.payload import storable_name
from domain.funnels.goals import Goal, MessageExposure
from domain.funnels.tally import FunnelTally
from domain.funnels.walks import StepMatcher, Walk
from projections.channel_funnels.tables import message
from projections.funnels.profile_walks import (
    EARLIEST_INSTANT,
    LATEST_INSTANT,
    ProfileWalk,
    decode_instant,
    fetch_in_order,
    parse_bound,
    step_events_sql,
)
from projections.runtime.projection import Reader

EXPOSURE_BIT, GOAL_BIT = 1, 2
"""The bits of the two steps."""


def count_goal(reader: Reader, goal: Goal, clock: datetime) -> dict[str, Any]:
    """Return how many were exposed by the clock, and how many of them did it in time."""
    tally = FunnelTally(2)
    for person in exposed_profiles(reader, goal, clock):
        tally.add(person.times)
    first, second = tally.step_counts()
    return {
        "exposed": first.profiles,
        "converted": second.profiles,
        "conversion": second.conversion,
        "seconds_p50": second.seconds_p50,
    }


def exposed_profiles(
    reader: Reader, goal: Goal, clock: datetime, *, after: UUID | None = None
) -> Iterator[ProfileWalk]:
    """Give out who was exposed by the clock, by their ids, those after one of them."""
    funnel = goal.event_funnel
    sieve = StepMatcher(funnel.steps)
    since, until = (
        parse_bound(funnel.from_, EARLIEST_INSTANT),
        parse_bound(funnel.to, LATEST_INSTANT),
    )
    first, last = to_micros(since), to_micros(until)
    events, asked = step_events_sql(reader, funnel, since, LATEST_INSTANT, clock)
    by_message = isinstance(goal.exposure, MessageExposure)
    if isinstance(goal.exposure, MessageExposure):
        touched, more = _message_exposures_sql(
            reader, goal.exposure, first, min(last, to_micros(clock) + 1)
        )
        events, asked = f"{events} UNION ALL {touched}", asked | more
    for person, rows in groupby(fetch_in_order(reader, events, asked, after), itemgetter(0)):
        walk = Walk(2)
        for _, sent, name, properties in rows:
            at = decode_instant(sent)
            bits = (
                EXPOSURE_BIT
                if name is None
                else sieve.matching_bits(name, properties) << by_message
            )
            if not first <= at < last:
                bits &= GOAL_BIT
            if bits:
                walk.add(at, bits)
        times = walk.longest_attempt(funnel.span)
        if times:
            yield ProfileWalk(UUID(bytes=person), times)


def _message_exposures_sql(
    reader: Reader, exposure: MessageExposure, first: int, last: int
) -> tuple[str, dict[str, Any]]:
    """Return the SQL of when messages took the step, or a later one that implies it."""
    at = f"least({', '.join(CHANNEL_STEPS[CHANNEL_STEPS.index(exposure.step) :])})"
    asked: dict[str, Any] = {"first": first, "last": last}
    met = [f"{at} >= %(first)s", f"{at} < %(last)s"]
    for name, spelt in (
        ("campaign", storable_name),
        ("channel", canonical_channel),
        ("template", storable_name),
    ):
        if (value := getattr(exposure, name)) is not None:
            met.append(f"{name} = %({name})s")
            asked[name] = spelt(value)
    return (
        f"""
        SELECT coalesce(member.person, message.stream),
            timestamptz 'epoch' + {at} * interval '1 microsecond', NULL, NULL, message.id
        FROM {message} AS message LEFT JOIN {reader.identity_members} AS member
            ON member.workspace = message.workspace AND member.stream = message.stream
        WHERE message.workspace = %(workspace)s AND {" AND ".join(met)}
        """,
        asked,
    )
