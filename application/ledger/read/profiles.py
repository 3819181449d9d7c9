"""Who is who, from the ledger alone, now or at any position of the past."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import event_from
from domain.core.identifiers import Identifier
from domain.events.events import Event, MessageEvent, SystemOccurred
from domain.events.registry import EVENTS
from domain.identity.resolution import Fact, facts_of, resolve
from domain.identity.resolved_profile import Person, alone, find, person_of

_FACTS = """
WITH RECURSIVE near (stream) AS (
    SELECT unnest(%(streams)s::uuid[])
    UNION
    SELECT link.other FROM near JOIN ledger.stream_link AS link
        ON link.workspace = %(workspace)s AND link.stream = near.stream
)
SELECT position, originator_id, originator_version, topic, state
FROM ledger.event JOIN near ON originator_id = near.stream
WHERE workspace = %(workspace)s
    AND topic IN ('profile.identifiers_linked.v1', 'profile.merged.v1', 'profile.unmerged.v1')
    AND position <= %(until)s AND state IS NOT NULL
"""

LATEST = 2**63 - 1

MESSAGES = [it.TOPIC for it in EVENTS if issubclass(it, MessageEvent) and it is not SystemOccurred]
"""Events that say whose stream they are in."""


def attested(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID], until: int = LATEST
) -> Mapping[int, Event]:
    """Return, by position, the events that say who the persons of the streams may be."""
    asked = {"workspace": workspace, "streams": list(streams), "until": until}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_FACTS, asked).fetchall()
    return {position: event_from(*row) for position, *row in rows}


def facts(
    connection: Connection[Any], workspace: int, stream: UUID, until: int = LATEST
) -> Sequence[Fact]:
    """Return all that was said by position ``until`` about who the stream's person may be."""
    events = attested(connection, workspace, [stream], until).values()
    return [fact for event in events for fact in facts_of(event)]


def person(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    stream_of: Callable[[Identifier], UUID],
    until: int = LATEST,
) -> Person:
    """Return the person whose stream it is, as known at position ``until``."""
    return find(stream, facts(connection, workspace, stream, until), stream_of)


def persons(
    connection: Connection[Any],
    workspace: int,
    streams: Collection[UUID],
    stream_of: Callable[[Identifier], UUID],
) -> Mapping[UUID, Person]:
    """Return the person of each stream, for many at once."""
    events = attested(connection, workspace, list(streams), LATEST).values()
    components = resolve(fact for event in events for fact in facts_of(event)).values()
    whole = {it.canonical: it for it in components}
    people = [person_of(it, stream_of) for it in whole.values()]
    found = {stream: person for person in people for stream in person.streams}
    return {it: found.get(it) or alone(it) for it in streams}
