"""What was decided about segments and rules, and who was put on lists, as the ledger has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import decode_event
from application.ledger.read.history import recorded_event
from application.ledger.read.profiles import MESSAGE_TOPICS
from domain.events.events import ManualListChanged
from domain.events.recorded import RecordedEvent

_DEFINITION_LOCK = (
    0x7365676D  # any number of our own: the advisory locks, one a workspace, of who decides
)

_LOCK = "SELECT pg_advisory_xact_lock(%s, %s)"

# The topics are those of the partial indexes, word for word.
_DECISIONS = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event
WHERE workspace = %s AND topic IN ('segment.defined.v1', 'segment.archived.v1')
    AND state IS NOT NULL
ORDER BY position
"""

_RULES = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event
WHERE workspace = %s AND topic IN (
        'rule.defined.v1', 'rule.enabled.v1', 'rule.disabled.v1', 'rule.archived.v1'
    )
    AND state IS NOT NULL
ORDER BY position
"""

_LISTED = """
SELECT originator_id, originator_version, topic, state
FROM ledger.event
WHERE workspace = %s AND originator_id = ANY (%s) AND topic = 'profile.listed.v1'
    AND state IS NOT NULL
ORDER BY position
"""

_HEAD = "SELECT last_position, erasures FROM ledger.ledger_head WHERE workspace = %s"

_SUPPRESSED = "SELECT stream FROM ledger.suppressed WHERE workspace = %s AND stream = ANY (%s)"

_HEARD_OF = """
SELECT asked.stream FROM unnest(%s::uuid[]) AS asked (stream)
WHERE EXISTS (
    SELECT FROM ledger.event
    WHERE workspace = %s AND originator_id = asked.stream AND state IS NOT NULL
        AND topic = ANY (%s)
)
"""


def lock_definitions(connection: Connection[Any], workspace: int) -> None:
    """Let nobody else decide about the workspace's segments and rules until the end of the transaction.

    Versions alone would let two segments be defined at once that ask about each other.
    """
    connection.execute(_LOCK, (_DEFINITION_LOCK, workspace))


def load_segment_events(connection: Connection[Any], workspace: int) -> Sequence[RecordedEvent]:
    """Return all that was decided about the workspace's segments, in order."""
    return _load_events(connection, _DECISIONS, workspace)


def load_rule_events(connection: Connection[Any], workspace: int) -> Sequence[RecordedEvent]:
    """Return all that was decided about the workspace's rules, in order."""
    return _load_events(connection, _RULES, workspace)


def manual_list_changes(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, Sequence[ManualListChanged]]:
    """Return, by stream, in order, how its person was put on lists or taken off."""
    found: dict[UUID, list[ManualListChanged]] = {}
    with connection.cursor(binary=True) as cursor:
        for row in cursor.execute(_LISTED, (workspace, list(streams))).fetchall():
            event = decode_event(*row)
            assert isinstance(event, ManualListChanged)
            found.setdefault(event.originator_id, []).append(event)
    return found


def head_and_erasure_epoch(connection: Connection[Any], workspace: int) -> tuple[int, int]:
    """Return the workspace's last position, and how many erasures there have been."""
    row = connection.execute(_HEAD, (workspace,)).fetchone()
    assert row is not None
    return row[0], row[1]


def suppressed_streams(
    connection: Connection[Any], workspace: int, streams: Collection[UUID]
) -> frozenset[UUID]:
    """Return those of the streams that nothing is to be recorded about."""
    rows = connection.execute(_SUPPRESSED, (workspace, list(streams))).fetchall()
    return frozenset(stream for (stream,) in rows)


def streams_with_messages(
    connection: Connection[Any], workspace: int, streams: Collection[UUID]
) -> frozenset[UUID]:
    """Return those of the streams that have a message of their own."""
    rows = connection.execute(_HEARD_OF, (list(streams), workspace, MESSAGE_TOPICS)).fetchall()
    return frozenset(stream for (stream,) in rows)


def command_event_id(*facts: str) -> UUID:
    """Return the id of a decision, the same whenever the facts are."""
    text = "\0".join(facts).encode()
    return UUID(bytes=blake2b(text, digest_size=16, person=b"decision").digest())


def _load_events(
    connection: Connection[Any], query: str, workspace: int
) -> Sequence[RecordedEvent]:
    with connection.cursor(binary=True) as cursor:
        return [recorded_event(row) for row in cursor.execute(query, (workspace,)).fetchall()]
