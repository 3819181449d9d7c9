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

from domain import paths
from domain.conditions.times import instant_us, moment
from domain.funnels import Funnel
from domain.funnels.walks import Sieve, Walk, document
from domain.profile_state import DECISIONS
from projections.base import Reader
from projections.timeline.tables import MESSAGE, timeline

AT_ONCE = 20_000
"""Rows fetched together."""

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

_NAMED = "AND event.name = ANY(%(names)s)"

_STEPS = f"""
SELECT coalesce(member.person, event.stream) AS whose,
    (extract(epoch FROM event.occurred_at) * 1000000)::bigint, event.name,
    {{properties}}
FROM {timeline} AS event
LEFT JOIN {{members}} AS member
    ON member.workspace = event.workspace AND member.stream = event.stream
WHERE event.workspace = %(workspace)s {{named}} AND event.ordinal = {MESSAGE}
    AND event.subject IS NOT NULL AND event.kind <> ALL(%(decisions)s)
    AND event.occurred_at >= %(since)s AND event.occurred_at < %(until)s
    AND event.occurred_at <= %(clock)s {{beyond}}
ORDER BY whose, event.occurred_at, event.id
"""
_BEYOND = "AND coalesce(member.person, event.stream) > %(after)s"

_MEMORY = "SET LOCAL work_mem = '64MB'"
"""Sorting is most of the work."""


class Gone(NamedTuple):
    """A person who took the first step at least."""

    person: UUID
    times: tuple[int, ...]
    """When each step was taken, in microseconds."""

    value: Any = None
    """Of the first step's property by which people are told apart."""


def gone(
    reader: Reader, funnel: Funnel, clock: datetime, *, after: UUID | None = None
) -> Iterator[Gone]:
    """Give out who took the first step by the clock, by their ids, those after one of them."""
    sieve = Sieve(funnel.steps)
    looked_at = None if funnel.breakdown is None else paths.parse(funnel.breakdown)
    for person, events in groupby(_events(reader, funnel, clock, after), itemgetter(0)):
        walk = Walk(len(funnel.steps))
        values: dict[int, Any] = {}
        for _, at, name, properties in events:
            bits = sieve.bits(name, properties)
            if bits:
                walk.add(at, bits)
                if bits & 1 and looked_at is not None and at not in values:
                    values[at] = next(paths.find(document(properties), looked_at), None)
        times = walk.furthest(funnel.span)
        if times:
            yield Gone(person, times, values.get(times[0]))


def _events(
    reader: Reader, funnel: Funnel, clock: datetime, after: UUID | None
) -> Iterator[tuple[UUID, int, str, str | None]]:
    names, telling = funnel.names, funnel.telling
    asked = {
        "workspace": reader.workspace,
        "names": None if names is None else sorted(names),
        "telling": None if telling is None else sorted(telling),
        "decisions": sorted(DECISIONS),
        "since": _bound(funnel.from_, _FIRST),
        "until": _bound(funnel.to, _LAST),
        "clock": clock,
        "after": after,
    }
    looked_at = "CASE WHEN event.name = ANY(%(telling)s) THEN event.properties::text END"
    if telling is None:
        looked_at = "event.properties::text"
    elif not telling:
        looked_at = "NULL"
    statement = _STEPS.format(
        properties=looked_at,
        members=reader.whose,
        named="" if names is None else _NAMED,
        beyond="" if after is None else _BEYOND,
    )
    driver = reader.tx.connection.driver_connection
    assert isinstance(driver, Driver)
    driver.execute(_MEMORY)
    with driver.cursor(name=f"funnel_{uuid4().hex}", binary=True) as rows:
        rows.itersize = AT_ONCE
        rows.execute(statement, asked)
        yield from rows


def _bound(text: str | None, otherwise: datetime) -> datetime:
    at = None if text is None else instant_us(text)
    return otherwise if at is None else moment(at)
