"""Definition events, manual list changes, and the lock for defining."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.mapper import decode_event
from application.ledger.read.history import recorded_event
from application.ledger.read.profiles import MESSAGE_TOPICS
from domain.core.identifiers import hash_for
from domain.events.events import ManualListChanged
from domain.events.recorded import RecordedEvent

_DEFINITION_LOCK = 0x7365676D
"""First key of the advisory locks, one per workspace; an arbitrary number that nothing else uses."""

_decision_hash = hash_for(b"decision")

_LOCK = "SELECT pg_advisory_xact_lock(%s, %s)"

# The topics are written into the statement, so that a partial index is used for any plan.
DEFINITION_EVENTS = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event WHERE workspace = %s AND topic IN ({topics}) AND state IS NOT NULL
ORDER BY position
"""

_MANUAL_LIST_CHANGES = """
SELECT originator_id, originator_version, topic, state
FROM ledger.event
WHERE workspace = %s AND originator_id = ANY (%s) AND topic = 'profile.listed.v1'
    AND state IS NOT NULL
ORDER BY position
"""

_HEAD = "SELECT last_position, erasures FROM ledger.ledger_head WHERE workspace = %s"

_SUPPRESSED = "SELECT stream FROM ledger.suppressed WHERE workspace = %s AND stream = ANY (%s)"

_STREAMS_WITH_MESSAGES = """
SELECT wanted.stream FROM unnest(%s::uuid[]) AS wanted (stream)
WHERE EXISTS (
    SELECT FROM ledger.event
    WHERE workspace = %s AND originator_id = wanted.stream AND state IS NOT NULL
        AND topic = ANY (%s)
)
"""


class LedgerHead(NamedTuple):
    """The state of a workspace's ledger head."""

    position: int
    """The last position; 0 of an empty ledger."""

    erasure_epoch: int
    """Number of erasures, suppressions and liftings so far."""


def lock_definitions(connection: Connection[Any], workspace: int) -> None:
    """Blocks other definition changes of the workspace until the end of the transaction.

    Versions alone would allow two segments that refer to each other to be defined at the same time.
    """
    connection.execute(_LOCK, (_DEFINITION_LOCK, workspace))


def load_definition_events(
    connection: Connection[Any], workspace: int, topics: Iterable[str]
) -> Sequence[RecordedEvent]:
    """Returns a workspace's definition events of these topics, in order."""
    query = DEFINITION_EVENTS.format(topics=", ".join(f"'{topic}'" for topic in topics))
    with connection.cursor(binary=True) as cursor:
        return [recorded_event(row) for row in cursor.execute(query, (workspace,)).fetchall()]


def manual_list_changes(
    connection: Connection[Any], workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, Sequence[ManualListChanged]]:
    """Returns the manual list changes of each stream's profile, in order."""
    changes: dict[UUID, list[ManualListChanged]] = {}
    with connection.cursor(binary=True) as cursor:
        for row in cursor.execute(_MANUAL_LIST_CHANGES, (workspace, list(streams))).fetchall():
            event = decode_event(*row)
            assert isinstance(event, ManualListChanged)
            changes.setdefault(event.originator_id, []).append(event)
    return changes


def head_and_erasure_epoch(connection: Connection[Any], workspace: int) -> LedgerHead:
    """Returns the workspace's last position and erasure epoch."""
    row = connection.execute(_HEAD, (workspace,)).fetchone()
    assert row is not None
    return LedgerHead(*row)


def suppressed_streams(
    connection: Connection[Any], workspace: int, streams: Collection[UUID]
) -> frozenset[UUID]:
    """Returns those of the streams that are suppressed."""
    rows = connection.execute(_SUPPRESSED, (workspace, list(streams))).fetchall()
    return frozenset(stream for (stream,) in rows)


def streams_with_messages(
    connection: Connection[Any], workspace: int, streams: Collection[UUID]
) -> frozenset[UUID]:
    """Returns those of the streams that have a message that is not erased."""
    rows = connection.execute(
        _STREAMS_WITH_MESSAGES, (list(streams), workspace, MESSAGE_TOPICS)
    ).fetchall()
    return frozenset(stream for (stream,) in rows)


def command_event_id(*facts: str) -> UUID:
    """Returns the id of a command's event, a digest of its facts: the same if it is repeated."""
    text = "\0".join(facts).encode()
    return UUID(bytes=_decision_hash(text).digest())
