"""How far each person went along the steps of a funnel, from the timeline.

The database sorts what can be a step by person and time; here each person is looked at once and let go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from psycopg import Connection as Driver

from domain.core import paths
from domain.core.time import from_micros, parse_instant, to_micros
from domain.funnels.funnel import Funnel
from domain.funnels.walks import StepMatcher, Walk, properties_document
from domain.profiles.state import COMMAND_KINDS
from projections.runtime.projection import Reader
from projections.timeline.tables import MESSAGE, timeline

FETCH_SIZE = 20_000
"""Rows fetched together."""

EARLIEST_INSTANT, LATEST_INSTANT = (
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
)

_NAME_FILTER = "AND event.name = ANY(%(names)s)"

_EVENTS = f"""
SELECT coalesce(member.person, event.stream) AS whose,
    event.occurred_at AS at, event.name, {{properties}} AS properties, event.id
FROM {timeline} AS event
LEFT JOIN {{members}} AS member
    ON member.workspace = event.workspace AND member.stream = event.stream
WHERE event.workspace = %(workspace)s {{named}} AND event.ordinal = {MESSAGE}
    AND event.subject IS NOT NULL AND event.kind <> ALL(%(decisions)s)
    AND event.occurred_at >= %(since)s AND event.occurred_at < %(until)s
    AND event.occurred_at <= %(clock)s
"""
_NEEDED_PROPERTIES = "CASE WHEN event.name = ANY(%(telling)s) THEN event.properties::text END"

_SORT_SETTINGS = "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = '60s'"
"""Sorting is most of the work, and of millions of events it takes longer than other questions may."""

_PG_EPOCH_US = to_micros(datetime(2000, 1, 1, tzinfo=UTC))
"""PostgreSQL sends an instant as microseconds since then."""

StepRow = tuple[bytes, bytes, str | None, str | None]
"""Whose, when, the event's name, and its properties if they matter.

The first two are as PostgreSQL sends them: most are looked at once, and objects would take half the time.
"""


class ProfileWalk(NamedTuple):
    """A person who took the first step at least."""

    profile: UUID
    times: tuple[int, ...]
    """When each step was taken, in microseconds."""

    value: Any = None
    """Of the first step's property by which people are told apart."""


def walk_profiles(
    reader: Reader, funnel: Funnel, clock: datetime, *, after: UUID | None = None
) -> Iterator[ProfileWalk]:
    """Give out who took the first step by the clock, by their ids, those after one of them."""
    sieve = StepMatcher(funnel.steps)
    looked_at = None if funnel.breakdown is None else paths.parse(funnel.breakdown)
    for person, events in groupby(_events(reader, funnel, clock, after), itemgetter(0)):
        walk = Walk(len(funnel.steps))
        values: dict[int, Any] = {}
        for _, sent, name, properties in events:
            at = decode_instant(sent)
            bits = sieve.matching_bits(name or "", properties)
            if bits:
                walk.add(at, bits)
                if bits & 1 and looked_at is not None and at not in values:
                    values[at] = next(
                        iter(paths.find_values(properties_document(properties), looked_at)), None
                    )
        times = walk.longest_attempt(funnel.span)
        if times:
            yield ProfileWalk(UUID(bytes=person), times, values.get(times[0]))


def _events(
    reader: Reader, funnel: Funnel, clock: datetime, after: UUID | None
) -> Iterator[StepRow]:
    since, until = (
        parse_bound(funnel.from_, EARLIEST_INSTANT),
        parse_bound(funnel.to, LATEST_INSTANT),
    )
    events, asked = step_events_sql(reader, funnel, since, until, clock)
    return fetch_in_order(reader, events, asked, after)


def step_events_sql(
    reader: Reader, funnel: Funnel, since: datetime, until: datetime, clock: datetime
) -> tuple[str, dict[str, Any]]:
    """Return the SQL of what can be a step of the funnel, and its parameters."""
    names, telling = funnel.event_names, funnel.property_event_names
    asked = {
        "workspace": reader.workspace,
        "names": None if names is None else sorted(names),
        "telling": None if telling is None else sorted(telling),
        "decisions": sorted(COMMAND_KINDS),
        "since": since,
        "until": until,
        "clock": clock,
    }
    properties = "event.properties::text" if telling is None else _NEEDED_PROPERTIES
    return _EVENTS.format(
        properties="NULL" if telling is not None and not telling else properties,
        members=reader.identity_members,
        named="" if names is None else "AND event.name = ANY(%(names)s)",
    ), asked


def fetch_in_order(
    reader: Reader, events: str, params: dict[str, Any], after: UUID | None
) -> Iterator[StepRow]:
    """Give out events by person and time; of persons after an id, if one is given."""
    beyond = "" if after is None else "WHERE whose > %(after)s"
    statement = f"""
    SELECT uuid_send(whose), timestamptz_send(at), name, properties FROM ({events}) AS event
    {beyond} ORDER BY whose, at, id
    """
    driver = reader.tx.connection.driver_connection
    assert isinstance(driver, Driver)
    driver.execute(_SORT_SETTINGS)
    with driver.cursor(name=f"funnel_{uuid4().hex}", binary=True) as rows:
        rows.itersize = FETCH_SIZE
        rows.execute(statement, params | {"after": after})
        yield from rows


def decode_instant(binary: bytes) -> int:
    """Return the microseconds since 1970 of an instant as PostgreSQL sends it."""
    return int.from_bytes(binary, signed=True) + _PG_EPOCH_US


def parse_bound(text: str | None, default: datetime) -> datetime:
    """Return the instant that a text names, or another one if there is no text."""
    at = None if text is None else parse_instant(text)
    return default if at is None else from_micros(at)
