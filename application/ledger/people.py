"""Who is who, from the ledger alone, now or at any position of the past."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import event_from
from domain.events import Event
from domain.identifiers import Identifier
from domain.identity import Fact, facts_of
from domain.person import Person, find

_FACTS = """
WITH RECURSIVE near (stream) AS (
    SELECT unnest(%(streams)s::uuid[])
    UNION
    SELECT link.other FROM near JOIN ledger.stream_link AS link
        ON link.workspace = %(workspace)s AND link.stream = near.stream
)
SELECT position, originator_id, originator_version, topic, state
FROM ledger.event JOIN near ON originator_id = near.stream
WHERE topic IN ('profile.identifiers_linked.v1', 'profile.merged.v1', 'profile.unmerged.v1')
    AND position <= %(until)s AND state IS NOT NULL
"""

LATEST = 2**63 - 1


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
