"""Erasure of a profile in the ledger: blanks the payloads of its events.

Positions, headers, commitments and leaves stay, and so do the digests of messages, so that a message
that is sent again is still a duplicate.  The profile's links are deleted from `link_seen`: shown again,
they are recorded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger import binary_arrays, server_requirements
from application.ledger.mapper import decode_event
from application.ledger.read.history import recorded_event
from application.ledger.read.profiles import LATEST, MESSAGE_TOPICS, identity_events_for
from domain.core.identifiers import Identifier, link_digest
from domain.events.events import (
    CommandEvent,
    DefinitionEvent,
    Event,
    IdentifiersLinked,
    MessageEvent,
)
from domain.events.recorded import RecordedEvent
from domain.events.registry import EVENT_CLASSES
from domain.identity.facts import facts_from_event, identifiers_in
from domain.identity.resolved_profile import ResolvedProfile, find_profile

ERASER_ROLE = "foldline_eraser"

NEVER_BLANKED = [
    event.TOPIC for event in EVENT_CLASSES if issubclass(event, CommandEvent | DefinitionEvent)
]
"""Topics of events that are never blanked: they record an erasure, or concern no profile."""

_LIMITS = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '15min'"

_HAS_ERASER_ROLE = """
SELECT count(*) FROM pg_roles
WHERE rolname = %s AND pg_has_role(current_user, rolname, 'MEMBER')
"""

_BLANK = """
UPDATE ledger.event SET state = NULL, salt = NULL
WHERE workspace = %s AND originator_id = ANY (%s) AND position > %s AND position <= %s
    AND state IS NOT NULL AND topic <> ALL (%s)
"""

_BLANK_AT = """
UPDATE ledger.event SET state = NULL, salt = NULL
WHERE workspace = %s AND position = ANY (%s) AND state IS NOT NULL
"""

_SUBJECTS = """
SELECT wanted.stream, message.originator_version, message.topic, message.state
FROM unnest(%s::uuid[]) AS wanted (stream), LATERAL (
    SELECT originator_version, topic, state FROM ledger.event
    WHERE workspace = %s AND originator_id = wanted.stream AND state IS NOT NULL AND topic = ANY (%s)
    LIMIT 1
) AS message
"""

_DELETE_LINKS_SEEN = "DELETE FROM ledger.link_seen WHERE workspace = %s AND digest = ANY (%s)"

_DELETE_STREAM_LINKS = """
DELETE FROM ledger.stream_link
WHERE workspace = %(workspace)s AND (stream = ANY (%(streams)s) OR (stream, other) IN (
    SELECT other, stream FROM ledger.stream_link
    WHERE workspace = %(workspace)s AND stream = ANY (%(streams)s)
))
"""

_HAS_EVENTS = """
SELECT EXISTS (SELECT FROM ledger.event WHERE workspace = %s AND originator_id = ANY (%s))
"""

_LOCK_STREAM_HEAD = """
INSERT INTO ledger.stream_head AS head (stream_id, version) VALUES (%s, 0)
ON CONFLICT (stream_id) DO UPDATE SET version = head.version
"""

_INCREMENT_ERASURE_EPOCH = (
    "UPDATE ledger.ledger_head SET erasures = erasures + 1 WHERE workspace = %s"
)

_HEAD = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"

_REMAINING = """
SELECT position, originator_id, originator_version, recorded_at, topic, state FROM ledger.event
WHERE workspace = %s AND originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT 4000
"""


class ProfileTrace(NamedTuple):
    """Everything in the ledger that identifies a profile."""

    profile: ResolvedProfile
    identifiers: frozenset[Identifier]
    """The identifiers under which the ledger has the profile."""

    foreign_events: Mapping[int, Event]
    """By position, the identity events in other profiles' streams that name this profile."""

    link_digests: Sequence[UUID]
    """Digests of the links that name the profile."""


def begin_erasure(connection: Connection[Any]) -> None:
    """Prepares a transaction that erases, with longer time limits than other transactions."""
    server_requirements.require_safe_server(connection)
    binary_arrays.register_dumpers(connection)
    connection.execute(_LIMITS)


def last_position(connection: Connection[Any], workspace: int) -> int:
    """Returns the last position of the workspace."""
    row = connection.execute(_HEAD, (workspace,)).fetchone()
    return int(row[0]) if row else 0


def trace_profile(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    secret: bytes,
    stream_of: Callable[[Identifier], UUID],
) -> ProfileTrace:
    """Returns everything in the ledger that identifies the profile of a stream."""
    events = identity_events_for(connection, workspace, [stream])
    facts = {position: facts_from_event(event) for position, event in events.items()}
    named = {
        position: {identifier for fact in event_facts for identifier in identifiers_in(fact)}
        for position, event_facts in facts.items()
    }
    profile = find_profile(stream, chain.from_iterable(facts.values()), stream_of)
    streams = set(profile.streams)
    identifiers = {
        identifier
        for identifier in chain.from_iterable(named.values())
        if stream_of(identifier) in streams
    }
    naming_events = {
        position: events[position] for position in facts if named[position] & identifiers
    }
    links = [event for event in naming_events.values() if isinstance(event, IdentifiersLinked)]
    return ProfileTrace(
        profile,
        frozenset(identifiers | _subjects(connection, workspace, profile.streams)),
        {
            position: event
            for position, event in naming_events.items()
            if event.originator_id not in streams
        },
        sorted(UUID(bytes=link_digest(secret, link.left, link.right)) for link in links),
    )


def identity_changed_since(
    connection: Connection[Any], workspace: int, stream: UUID, since: int
) -> bool:
    """Returns whether an identity event after a position can concern the profile of a stream."""
    events = identity_events_for(connection, workspace, [stream])
    return any(position > since for position in events)


def blank_streams(
    connection: Connection[Any],
    workspace: int,
    streams: Iterable[UUID],
    *,
    after: int = 0,
    until: int = LATEST,
) -> int:
    """Blanks the streams' events at positions after ``after`` up to ``until``; returns how many."""
    with _as_eraser(connection):
        params = (workspace, sorted(streams), after, until, NEVER_BLANKED)
        return connection.execute(_BLANK, params).rowcount


def blank_positions(connection: Connection[Any], workspace: int, positions: Iterable[int]) -> int:
    """Blanks the events at these positions; returns how many."""
    with _as_eraser(connection):
        return connection.execute(_BLANK_AT, (workspace, sorted(positions))).rowcount


def has_events(connection: Connection[Any], workspace: int, streams: Iterable[UUID]) -> bool:
    """Returns whether the workspace has any event of these streams, blanked ones included."""
    row = connection.execute(_HAS_EVENTS, (workspace, sorted(streams))).fetchone()
    return row is not None and bool(row[0])


def delete_seen_links(connection: Connection[Any], workspace: int, digests: Sequence[UUID]) -> None:
    """Deletes links from `link_seen`, so that they are recorded again when a message shows them."""
    connection.execute(_DELETE_LINKS_SEEN, (workspace, digests))


def delete_stream_links(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID]
) -> None:
    """Deletes the links of streams to other streams; the facts that linked them are blanked."""
    connection.execute(_DELETE_STREAM_LINKS, {"workspace": workspace, "streams": sorted(streams)})


def lock_head(connection: Connection[Any], workspace: int, stream: UUID) -> None:
    """Blocks appends until the commit and starts a new erasure epoch.

    The new epoch makes every process drop its link cache.
    ``stream`` is the one that the erasure event will be appended to: its head is locked before the
    ledger head, in the same order as in an append.
    """
    connection.execute(_LOCK_STREAM_HEAD, (stream,))
    connection.execute(_INCREMENT_ERASURE_EPOCH, (workspace,))


def remaining_events(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID]
) -> Iterator[list[RecordedEvent]]:
    """Yields the streams' events that are not blanked, up to 4,000 at a time."""
    for stream in streams:
        version = 0
        while rows := connection.execute(_REMAINING, (workspace, stream, version)).fetchall():
            version = rows[-1][2]
            yield [event for event in map(recorded_event, rows) if event.event is not None]


def _subjects(
    connection: Connection[Any], workspace: int, streams: Sequence[UUID]
) -> set[Identifier]:
    """Returns the identifiers of streams, as far as messages that have them are not blanked."""
    params = (list(streams), workspace, MESSAGE_TOPICS)
    events = (decode_event(*row) for row in connection.execute(_SUBJECTS, params).fetchall())
    return {
        event.subject
        for event in events
        if isinstance(event, MessageEvent) and event.subject is not None
    }


@contextmanager
def _as_eraser(connection: Connection[Any]) -> Iterator[None]:
    """Switches to the role that may only blank events, if the server has it."""
    row = connection.execute(_HAS_ERASER_ROLE, (ERASER_ROLE,)).fetchone()
    if row is None or not row[0]:
        yield
        return
    connection.execute(f"SET LOCAL ROLE {ERASER_ROLE}")
    yield
    connection.execute("SET LOCAL ROLE NONE")
