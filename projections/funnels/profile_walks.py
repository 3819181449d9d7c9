"""Walks of profiles along the steps of a funnel, computed from the timeline.

The database sorts the events that can be steps by profile and time, so each profile is processed once
and only one is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from psycopg import Connection

from domain.core import paths
from domain.core.time import from_micros, parse_instant, to_micros
from domain.funnels.funnel import Funnel
from domain.funnels.walks import StepMatcher, Walk, properties_document
from domain.profiles.state import COMMAND_KINDS
from projections.runtime.ports import IdentityPort
from projections.timeline.tables import MESSAGE, timeline

FETCH_SIZE = 20_000
"""Rows of one fetch."""

EARLIEST_INSTANT, LATEST_INSTANT = (
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)

_NAME_FILTER = "AND event.name = ANY(%(names)s)"

_STEP_EVENTS = f"""
SELECT coalesce(member.profile_id, event.stream) AS profile,
    event.occurred_at AS at, event.name, {{properties}} AS properties, event.id
FROM {timeline} AS event
LEFT JOIN {{members}} AS member
    ON member.workspace = event.workspace AND member.stream = event.stream
WHERE event.workspace = %(workspace)s {{name_filter}} AND event.ordinal = {MESSAGE}
    AND event.subject IS NOT NULL AND event.kind <> ALL(%(command_kinds)s)
    AND event.occurred_at >= %(since)s AND event.occurred_at < %(until)s
    AND event.occurred_at <= %(clock)s
"""
_NEEDED_PROPERTIES = (
    "CASE WHEN event.name = ANY(%(property_event_names)s) THEN event.properties::text END"
)

_SORT_SETTINGS = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '60s'"
"""Sorting is most of the work; for millions of events it takes longer than the usual time limit."""

_PG_EPOCH_US = to_micros(datetime(2000, 1, 1, tzinfo=UTC))
"""PostgreSQL's binary format of an instant is microseconds since then."""

StepRow = tuple[bytes, bytes, str | None, str | None]
"""Profile, instant, event name, and the properties as JSON if they matter.

The first two are in PostgreSQL's binary format: most are read once, and making objects of them would
take half of the time.
"""


class ProfileWalk(NamedTuple):
    """A profile that reached at least the first step."""

    profile: UUID
    times: tuple[int, ...]
    """The instant of each step reached, in microseconds."""

    value: Any = None
    """The value of the breakdown property of the first step."""


def walk_profiles(
    reader: IdentityPort, funnel: Funnel, clock: datetime, *, after: UUID | None = None
) -> Iterator[ProfileWalk]:
    """Yields the profiles that reached the first step by the clock, in order of their ids.

    ``after``: only profiles with a greater id.
    """
    matcher = StepMatcher(funnel.steps)
    breakdown = None if funnel.breakdown is None else paths.parse(funnel.breakdown)
    for profile, events in groupby(_step_rows(reader, funnel, clock, after), itemgetter(0)):
        walk = Walk(len(funnel.steps))
        values: dict[int, Any] = {}
        for _, instant, name, properties in events:
            at = decode_instant(instant)
            bits = matcher.matching_bits(name or "", properties)
            if bits:
                walk.add(at, bits)
                if bits & 1 and breakdown is not None and at not in values:
                    values[at] = next(
                        iter(paths.find_values(properties_document(properties), breakdown)), None
                    )
        times = walk.longest_attempt(funnel.span)
        if times:
            yield ProfileWalk(UUID(bytes=profile), times, values.get(times[0]))


def _step_rows(
    reader: IdentityPort, funnel: Funnel, clock: datetime, after: UUID | None
) -> Iterator[StepRow]:
    since, until = (
        parse_bound(funnel.from_, EARLIEST_INSTANT),
        parse_bound(funnel.to, LATEST_INSTANT),
    )
    events_sql, params = step_events_sql(reader, funnel, since, until, clock)
    return fetch_in_order(reader, events_sql, params, after)


def step_events_sql(
    reader: IdentityPort, funnel: Funnel, since: datetime, until: datetime, clock: datetime
) -> tuple[str, dict[str, Any]]:
    """Returns the SQL of the events that can be a step of the funnel, and its parameters."""
    names, property_names = funnel.event_names, funnel.property_event_names
    params = {
        "workspace": reader.workspace,
        "names": None if names is None else sorted(names),
        "property_event_names": None if property_names is None else sorted(property_names),
        "command_kinds": sorted(COMMAND_KINDS),
        "since": since,
        "until": until,
        "clock": clock,
    }
    properties = "event.properties::text" if property_names is None else _NEEDED_PROPERTIES
    return _STEP_EVENTS.format(
        properties="NULL" if property_names is not None and not property_names else properties,
        members=reader.identity_members,
        name_filter="" if names is None else _NAME_FILTER,
    ), params


def fetch_in_order(
    reader: IdentityPort, events_sql: str, params: dict[str, Any], after: UUID | None
) -> Iterator[StepRow]:
    """Yields events in order of profile and time; ``after``: only of profiles with a greater id.

    Raises the work memory and the time limit of the transaction.
    """
    page_filter = "" if after is None else "WHERE profile > %(after)s"
    statement = f"""
    SELECT uuid_send(profile), timestamptz_send(at), name, properties FROM ({events_sql}) AS event
    {page_filter} ORDER BY profile, at, id
    """
    connection = reader.tx.connection.driver_connection
    assert isinstance(connection, Connection)
    connection.execute(_SORT_SETTINGS)
    with connection.cursor(name=f"funnel_{uuid4().hex}", binary=True) as rows:
        rows.itersize = FETCH_SIZE
        rows.execute(statement, params | {"after": after})
        yield from rows


def decode_instant(binary: bytes) -> int:
    """Returns the microseconds since 1970 of an instant in PostgreSQL's binary format."""
    return int.from_bytes(binary, signed=True) + _PG_EPOCH_US


def parse_bound(text: str | None, default: datetime) -> datetime:
    """Returns the instant of a funnel's `from` or `to`, or the default without one."""
    at = None if text is None else parse_instant(text)
    return default if at is None else from_micros(at)
