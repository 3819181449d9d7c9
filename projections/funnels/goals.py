"""Goals reached after an exposure, from the timeline and the channel messages."""

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
from projections.runtime.ports import IdentityPort

EXPOSURE_BIT, GOAL_BIT = 1, 2
"""The bits of the two steps in a `Walk`."""


def count_goal(reader: IdentityPort, goal: Goal, clock: datetime) -> dict[str, Any]:
    """Returns how many profiles were exposed by the clock and how many reached the goal."""
    tally = FunnelTally(2)
    for walk in exposed_profiles(reader, goal, clock):
        tally.add(walk.times)
    exposed, converted = tally.step_counts()
    return {
        "exposed": exposed.profiles,
        "converted": converted.profiles,
        "conversion": converted.conversion,
        "seconds_p50": converted.seconds_p50,
    }


def exposed_profiles(
    reader: IdentityPort, goal: Goal, clock: datetime, *, after: UUID | None = None
) -> Iterator[ProfileWalk]:
    """Yields the profiles exposed by the clock, in order of their ids.

    ``after``: only profiles with a greater id.  Only the exposure must lie between `from` and `to`.
    """
    funnel = goal.event_funnel
    matcher = StepMatcher(funnel.steps)
    since, until = (
        parse_bound(funnel.from_, EARLIEST_INSTANT),
        parse_bound(funnel.to, LATEST_INSTANT),
    )
    first, last = to_micros(since), to_micros(until)
    events_sql, params = step_events_sql(reader, funnel, since, LATEST_INSTANT, clock)
    by_message = isinstance(goal.exposure, MessageExposure)
    if isinstance(goal.exposure, MessageExposure):
        exposures_sql, exposure_params = _message_exposures_sql(
            reader, goal.exposure, first, min(last, to_micros(clock) + 1)
        )
        events_sql = f"{events_sql} UNION ALL {exposures_sql}"
        params |= exposure_params
    for profile, rows in groupby(fetch_in_order(reader, events_sql, params, after), itemgetter(0)):
        walk = Walk(2)
        for _, instant, name, properties in rows:
            at = decode_instant(instant)
            bits = (
                EXPOSURE_BIT
                if name is None
                else matcher.matching_bits(name, properties) << by_message
            )
            if not first <= at < last:
                bits &= GOAL_BIT
            if bits:
                walk.add(at, bits)
        times = walk.longest_attempt(funnel.span)
        if times:
            yield ProfileWalk(UUID(bytes=profile), times)


def _message_exposures_sql(
    reader: IdentityPort, exposure: MessageExposure, first: int, last: int
) -> tuple[str, dict[str, Any]]:
    """Returns the SQL of the instants at which messages reached the step, and its parameters.

    A later step implies it.  The rows have no event name.
    """
    at = f"least({', '.join(CHANNEL_STEPS[CHANNEL_STEPS.index(exposure.step) :])})"
    params: dict[str, Any] = {"first": first, "last": last}
    filters = [f"{at} >= %(first)s", f"{at} < %(last)s"]
    for name, normalise in (
        ("campaign", storable_name),
        ("channel", canonical_channel),
        ("template", storable_name),
    ):
        if (value := getattr(exposure, name)) is not None:
            filters.append(f"{name} = %({name})s")
            params[name] = normalise(value)
    return (
        f"""
        SELECT coalesce(member.profile_id, message.stream),
            timestamptz 'epoch' + {at} * interval '1 microsecond', NULL, NULL, message.id
        FROM {message} AS message LEFT JOIN {reader.identity_members} AS member
            ON member.workspace = message.workspace AND member.stream = message.stream
        WHERE message.workspace = %(workspace)s AND {" AND ".join(filters)}
        """,
        params,
    )
