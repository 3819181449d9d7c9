"""Who is who, from the ledger alone, now or at any position of the past."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import decode_event
from domain.core.identifiers import Identifier
from domain.events.events import Event, MessageEvent, SystemEventOccurred
from domain.events.registry import EVENT_CLASSES
from domain.identity.resolution import IdentityFact, facts_from_event, resolve_components
from domain.identity.resolved_profile import (
    ResolvedProfile,
    find_profile,
    profile_of_component,
    single_stream_profile,
)

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

MESSAGE_TOPICS = [
    it.TOPIC
    for it in EVENT_CLASSES
    if issubclass(it, MessageEvent) and it is not SystemEventOccurred
]
"""Events that say whose stream they are in."""


def identity_events_for(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID], until: int = LATEST
) -> Mapping[int, Event]:
    """Return, by position, the events that say who the persons of the streams may be."""
    asked = {"workspace": workspace, "streams": list(streams), "until": until}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_FACTS, asked).fetchall()
    return {position: decode_event(*row) for position, *row in rows}


def identity_facts_for(
    connection: Connection[Any], workspace: int, stream: UUID, until: int = LATEST
) -> Sequence[IdentityFact]:
    """Return all that was said by position ``until`` about who the stream's person may be."""
    events = identity_events_for(connection, workspace, [stream], until).values()
    return [fact for event in events for fact in facts_from_event(event)]


def load_profile(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    stream_of: Callable[[Identifier], UUID],
    until: int = LATEST,
) -> ResolvedProfile:
    """Return the person whose stream it is, as known at position ``until``."""
    return find_profile(stream, identity_facts_for(connection, workspace, stream, until), stream_of)


def load_profiles(
    connection: Connection[Any],
    workspace: int,
    streams: Collection[UUID],
    stream_of: Callable[[Identifier], UUID],
) -> Mapping[UUID, ResolvedProfile]:
    """Return the person of each stream, for many at once."""
    events = identity_events_for(connection, workspace, list(streams), LATEST).values()
    components = resolve_components(
        fact for event in events for fact in facts_from_event(event)
    ).values()
    whole = {it.canonical: it for it in components}
    people = [profile_of_component(it, stream_of) for it in whole.values()]
    found = {stream: person for person in people for stream in person.streams}
    return {it: found.get(it) or single_stream_profile(it) for it in streams}
