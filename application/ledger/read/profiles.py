"""Identity of profiles from the ledger alone, now or as of a position."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import decode_event
from domain.core.identifiers import Identifier
from domain.events.events import Event, MessageEvent, SystemEventOccurred
from domain.events.registry import EVENT_CLASSES
from domain.identity.facts import IdentityFact, facts_from_event
from domain.identity.resolution import resolve_components
from domain.identity.resolved_profile import (
    ResolvedProfile,
    find_profile,
    profile_of_component,
    single_stream_profile,
)

_IDENTITY_EVENTS = """
WITH RECURSIVE reachable (stream) AS (
    SELECT unnest(%(streams)s::uuid[])
    UNION
    SELECT link.other FROM reachable JOIN ledger.stream_link AS link
        ON link.workspace = %(workspace)s AND link.stream = reachable.stream
)
SELECT position, originator_id, originator_version, topic, state
FROM ledger.event JOIN reachable ON originator_id = reachable.stream
WHERE workspace = %(workspace)s
    AND topic IN ('profile.identifiers_linked.v1', 'profile.merged.v1', 'profile.unmerged.v1')
    AND position <= %(until)s AND state IS NOT NULL
"""

LATEST = 2**63 - 1
"""Position that stands for now: later than any event."""

MESSAGE_TOPICS = [
    event_class.TOPIC
    for event_class in EVENT_CLASSES
    if issubclass(event_class, MessageEvent) and event_class is not SystemEventOccurred
]
"""Topics of the events whose ``subject`` is the identifier of their stream."""


def identity_events_for(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID], until: int = LATEST
) -> Mapping[int, Event]:
    """Returns, by position, the identity events that can concern the profiles of streams."""
    params = {"workspace": workspace, "streams": list(streams), "until": until}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_IDENTITY_EVENTS, params).fetchall()
    return {position: decode_event(*row) for position, *row in rows}


def identity_facts_for(
    connection: Connection[Any], workspace: int, stream: UUID, until: int = LATEST
) -> Sequence[IdentityFact]:
    """Returns the identity facts up to a position that can concern the profile of a stream."""
    events = identity_events_for(connection, workspace, [stream], until).values()
    return [fact for event in events for fact in facts_from_event(event)]


def load_profile(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    stream_of: Callable[[Identifier], UUID],
    until: int = LATEST,
) -> ResolvedProfile:
    """Returns the profile of a stream, as known at position ``until``."""
    return find_profile(stream, identity_facts_for(connection, workspace, stream, until), stream_of)


def load_profiles(
    connection: Connection[Any],
    workspace: int,
    streams: Collection[UUID],
    stream_of: Callable[[Identifier], UUID],
) -> Mapping[UUID, ResolvedProfile]:
    """Returns the current profile of each stream."""
    events = identity_events_for(connection, workspace, list(streams), LATEST).values()
    components = resolve_components(
        fact for event in events for fact in facts_from_event(event)
    ).values()
    distinct = {component.canonical: component for component in components}
    profiles = [profile_of_component(component, stream_of) for component in distinct.values()]
    by_stream = {stream: profile for profile in profiles for stream in profile.streams}
    return {stream: by_stream.get(stream) or single_stream_profile(stream) for stream in streams}
