"""Suppressed profiles: drops messages that name them.  Stores streams only, no identifiers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.append.prepared import PreparedMessage
from application.ledger.binary_arrays import UuidArray
from application.ledger.tables.rejected import Rejection
from domain.core.identifiers import Identifier

_HAS_ANY = "SELECT EXISTS (SELECT FROM ledger.suppressed WHERE workspace = %s)"

_SELECT_AMONG = """
SELECT uuid_send(stream) FROM ledger.suppressed WHERE workspace = %b AND stream = ANY (%b)
"""

_INSERT = """
INSERT INTO ledger.suppressed (workspace, stream, person, suppressed_at)
SELECT %s, stream, %s, %s FROM unnest(%s::uuid[]) AS added (stream)
ON CONFLICT DO NOTHING
"""

_LIFT = """
DELETE FROM ledger.suppressed WHERE workspace = %s AND person = (
    SELECT person FROM ledger.suppressed WHERE workspace = %s AND stream = %s
) RETURNING person, stream
"""

_LIST = """
SELECT person, min(suppressed_at), count(*) FROM ledger.suppressed
WHERE workspace = %s AND person > %s GROUP BY person ORDER BY person LIMIT %s
"""

_COUNT = "SELECT count(DISTINCT person) FROM ledger.suppressed WHERE workspace = %s"


class Suppression(NamedTuple):
    """A profile whose messages are dropped."""

    profile_id: UUID
    """The profile's canonical stream when it was suppressed."""

    suppressed_at: datetime
    streams: int


class Filtered(NamedTuple):
    """The messages of a flush, without those of suppressed profiles."""

    entries: Sequence[PreparedMessage]
    suppressed: frozenset[bytes]
    """Digests of the dropped messages."""

    rejections: Sequence[Rejection]
    """One for each source, with the number of its dropped messages."""


def has_suppressions(connection: Connection[Any], workspace: int) -> bool:
    """Returns whether the workspace has any suppressed profile."""
    return bool(_single_value(connection, _HAS_ANY, (workspace,)))


def filter_suppressed(
    connection: Connection[Any],
    workspace: int,
    entries: Sequence[PreparedMessage],
    stream_of: Callable[[Identifier], bytes],
) -> Filtered:
    """Drops the messages that name a suppressed profile."""
    streams_of_entries = [
        {stream_of(identifier) for identifier in _identifiers_in(entry)} for entry in entries
    ]
    params = (workspace, UuidArray(sorted(set[bytes]().union(*streams_of_entries))))
    with connection.cursor(binary=True) as cursor:
        suppressed = {stream for (stream,) in cursor.execute(_SELECT_AMONG, params).fetchall()}
    if not suppressed:
        return Filtered(entries, frozenset(), ())
    kept: list[PreparedMessage] = []
    dropped: list[PreparedMessage] = []
    for entry, streams in zip(entries, streams_of_entries, strict=True):
        (dropped if streams & suppressed else kept).append(entry)
    digests = frozenset(entry.digest for entry in dropped)
    return Filtered(kept, digests, _rejections_by_source(dropped))


def suppress_streams(
    connection: Connection[Any],
    workspace: int,
    profile_id: UUID,
    streams: Iterable[UUID],
    at: datetime,
) -> None:
    """Drops messages that name these streams, from the commit on."""
    connection.execute(_INSERT, (workspace, profile_id, at, sorted(streams)))


def lift_suppression(
    connection: Connection[Any], workspace: int, stream: UUID
) -> tuple[UUID, Sequence[UUID]] | None:
    """Lifts a stream's suppression; returns its profile id and streams, None if not suppressed."""
    rows = connection.execute(_LIFT, (workspace, workspace, stream)).fetchall()
    return (rows[0][0], sorted(stream for _, stream in rows)) if rows else None


def list_suppressions(
    connection: Connection[Any], workspace: int, after: UUID, limit: int
) -> tuple[int, Sequence[Suppression]]:
    """Returns the number of suppressed profiles and a page of them, by id, after ``after``."""
    rows = connection.execute(_LIST, (workspace, after, limit)).fetchall()
    return _single_value(connection, _COUNT, (workspace,)), [Suppression(*row) for row in rows]


def _identifiers_in(entry: PreparedMessage) -> Iterable[Identifier]:
    return (*entry.message.identifiers, *entry.message.absorbs)


def _rejections_by_source(entries: Iterable[PreparedMessage]) -> Sequence[Rejection]:
    times = Counter(entry.message.source for entry in entries)
    earliest = {entry.message.source: entry.message.received_at for entry in entries}
    return [
        Rejection(
            code="suppressed",
            message="the profile is suppressed; the message was dropped",
            raw=b"",
            source=source,
            received_at=earliest[source],
            times=times[source],
        )
        for source in sorted(times)
    ]


def _single_value(connection: Connection[Any], sql: str, params: tuple[Any, ...]) -> Any:
    row = connection.execute(sql, params).fetchone()
    assert row is not None
    return row[0]
