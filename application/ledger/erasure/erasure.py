"""Blanks what the ledger holds of a person.  What stays says that something was there, and not what.

Positions, headers, commitments and leaves stay, as do the digests of messages, so that a message that
is sent again stays out.  Links of the person are forgotten: shown again, they are recorded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger import server_requirements
from application.ledger.append import binary
from application.ledger.mapper import decode_event
from application.ledger.read.profiles import LATEST, MESSAGE_TOPICS, identity_events_for
from domain.core.identifiers import Identifier, link_digest
from domain.events.events import (
    Event,
    FunnelArchived,
    FunnelDefined,
    IdentifiersLinked,
    MessageEvent,
    ProfileErased,
    ProfileSuppressed,
    ProfileSuppressionLifted,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleArchived, RuleDefined, RuleDisabled, RuleEnabled
from domain.identity.resolution import facts_from_event, identifiers_in
from domain.identity.resolved_profile import ResolvedProfile, find_profile

ERASER_ROLE = "foldline_eraser"

NEVER_BLANKED = [
    ProfileErased.TOPIC,
    ProfileSuppressed.TOPIC,
    ProfileSuppressionLifted.TOPIC,
    SegmentDefined.TOPIC,
    SegmentArchived.TOPIC,
    FunnelDefined.TOPIC,
    FunnelArchived.TOPIC,
    RuleDefined.TOPIC,
    RuleEnabled.TOPIC,
    RuleDisabled.TOPIC,
    RuleArchived.TOPIC,
]
"""Events that are never blanked: they say why others are, or are about nobody, whatever is asked."""

_LIMITS = "SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = '15min'"

_MAY_ERASE = """
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
SELECT of.stream, shown.originator_version, shown.topic, shown.state
FROM unnest(%s::uuid[]) AS of (stream), LATERAL (
    SELECT originator_version, topic, state FROM ledger.event
    WHERE workspace = %s AND originator_id = of.stream AND state IS NOT NULL AND topic = ANY (%s)
    LIMIT 1
) AS shown
"""

_FORGET_LINKS = "DELETE FROM ledger.link_seen WHERE workspace = %s AND digest = ANY (%s)"

_SEVER_STREAMS = """
DELETE FROM ledger.stream_link
WHERE workspace = %(workspace)s AND (stream = ANY (%(streams)s) OR (stream, other) IN (
    SELECT other, stream FROM ledger.stream_link
    WHERE workspace = %(workspace)s AND stream = ANY (%(streams)s)
))
"""

_HAS_ANY = """
SELECT EXISTS (SELECT FROM ledger.event WHERE workspace = %s AND originator_id = ANY (%s))
"""

_HOLD_STREAM = """
INSERT INTO ledger.stream_head AS head (stream_id, version) VALUES (%s, 0)
ON CONFLICT (stream_id) DO UPDATE SET version = head.version
"""

_HOLD_LEDGER = "UPDATE ledger.ledger_head SET erasures = erasures + 1 WHERE workspace = %s"

_HEAD = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"

_REMAINING = """
SELECT position, originator_id, originator_version, recorded_at, topic, state FROM ledger.event
WHERE workspace = %s AND originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT 4000
"""


class ProfileTrace(NamedTuple):
    """All by which a person can be found in the ledger."""

    profile: ResolvedProfile
    identifiers: frozenset[Identifier]
    """The names that the ledger knows them by."""

    foreign_events: Mapping[int, Event]
    """By position, the facts of other people's streams that name the person."""

    link_digests: Sequence[UUID]
    """Digests of the links that name the person."""


def begin_erasure(connection: Connection[Any]) -> None:
    """Prepare a transaction that erases: it may take longer than others."""
    server_requirements.require_safe_server(connection)
    binary.register_dumpers(connection)
    connection.execute(_LIMITS)


def last_position(connection: Connection[Any], workspace: int) -> int:
    """Return the last position of the workspace."""
    row = connection.execute(_HEAD, (workspace,)).fetchone()
    return int(row[0]) if row else 0


def trace_profile(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    secret: bytes,
    stream_of: Callable[[Identifier], UUID],
) -> ProfileTrace:
    """Return where the ledger has the person whose stream it is."""
    events = identity_events_for(connection, workspace, [stream])
    facts = {at: facts_from_event(event) for at, event in events.items()}
    person = find_profile(stream, (it for said in facts.values() for it in said), stream_of)
    streams = set(person.streams)
    names = {it for said in facts.values() for fact in said for it in identifiers_in(fact)}
    theirs = {it for it in names if stream_of(it) in streams}
    naming = {
        at: events[at]
        for at, said in facts.items()
        if any(it in theirs for fact in said for it in identifiers_in(fact))
    }
    links = [it for it in naming.values() if isinstance(it, IdentifiersLinked)]
    return ProfileTrace(
        person,
        frozenset(theirs | _subjects(connection, workspace, person.streams)),
        {at: it for at, it in naming.items() if it.originator_id not in streams},
        sorted(UUID(bytes=link_digest(secret, it.left, it.right)) for it in links),
    )


def identity_changed_since(
    connection: Connection[Any], workspace: int, stream: UUID, since: int
) -> bool:
    """Say whether anything was said after a position about who the stream's person may be."""
    return any(at > since for at in identity_events_for(connection, workspace, [stream]))


def blank_streams(
    connection: Connection[Any],
    workspace: int,
    streams: Iterable[UUID],
    *,
    after: int = 0,
    until: int = LATEST,
) -> int:
    """Blank the events of streams between two positions, the latter included; return their number."""
    with _as_eraser(connection):
        asked = (workspace, sorted(streams), after, until, NEVER_BLANKED)
        return connection.execute(_BLANK, asked).rowcount


def blank_positions(connection: Connection[Any], workspace: int, positions: Iterable[int]) -> int:
    """Blank the events at these positions; return how many there were."""
    with _as_eraser(connection):
        return connection.execute(_BLANK_AT, (workspace, sorted(positions))).rowcount


def has_events(connection: Connection[Any], workspace: int, streams: Iterable[UUID]) -> bool:
    """Say whether the workspace has any event of these streams, blank or not."""
    row = connection.execute(_HAS_ANY, (workspace, sorted(streams))).fetchone()
    return row is not None and bool(row[0])


def delete_seen_links(connection: Connection[Any], workspace: int, digests: Sequence[UUID]) -> None:
    """Let links be recorded again when they are shown again."""
    connection.execute(_FORGET_LINKS, (workspace, digests))


def delete_stream_links(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID]
) -> None:
    """Forget which streams these were joined to: the facts that joined them are blank."""
    connection.execute(_SEVER_STREAMS, {"workspace": workspace, "streams": sorted(streams)})


def lock_head(connection: Connection[Any], workspace: int, stream: UUID) -> None:
    """Let nothing be appended until commit, and make every process begin anew with what it remembers.

    ``stream`` is the one to which the decree will be appended: locks are taken in the order of all.
    """
    connection.execute(_HOLD_STREAM, (stream,))
    connection.execute(_HOLD_LEDGER, (workspace,))


def remaining_events(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID]
) -> Iterator[list[RecordedEvent]]:
    """Give what is left of streams, a few thousand events at a time."""
    for stream in streams:
        version = 0
        while rows := connection.execute(_REMAINING, (workspace, stream, version)).fetchall():
            version = rows[-1][2]
            yield [
                RecordedEvent(at, stream, of, recorded_at, decode_event(stream, of, topic, state))
                for at, stream, of, recorded_at, topic, state in rows
                if state is not None
            ]


def _subjects(
    connection: Connection[Any], workspace: int, streams: Sequence[UUID]
) -> set[Identifier]:
    """Return the identifiers whose streams these are, as far as messages are left that say so."""
    asked = (list(streams), workspace, MESSAGE_TOPICS)
    found = (decode_event(*row) for row in connection.execute(_SUBJECTS, asked).fetchall())
    return {it.subject for it in found if isinstance(it, MessageEvent) and it.subject is not None}


@contextmanager
def _as_eraser(connection: Connection[Any]) -> Iterator[None]:
    """Step down to the role that may blank events and nothing else, where the server has it."""
    row = connection.execute(_MAY_ERASE, (ERASER_ROLE,)).fetchone()
    if row is None or not row[0]:
        yield
        return
    connection.execute(f"SET LOCAL ROLE {ERASER_ROLE}")
    yield
    connection.execute("SET LOCAL ROLE NONE")
