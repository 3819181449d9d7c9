"""Whom messages are ignored about: streams only, so that nothing here says who they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.append.binary import UuidArray
from application.ledger.append.prepared import PreparedMessage, Rejection
from domain.core.identifiers import Identifier

_ANY = "SELECT EXISTS (SELECT FROM ledger.suppressed WHERE workspace = %s)"

_AMONG = """
SELECT uuid_send(stream) FROM ledger.suppressed WHERE workspace = %b AND stream = ANY (%b)
"""

_ADD = """
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
    """A person whose messages are ignored."""

    profile_id: UUID
    """The stream that was the canonical one then."""

    suppressed_at: datetime
    streams: int


class Filtered(NamedTuple):
    """The messages of a flush, without those that are to be ignored."""

    entries: Sequence[PreparedMessage]
    suppressed: frozenset[bytes]
    """Digests of the ignored ones."""

    rejections: Sequence[Rejection]
    """What is remembered of them: how many came from each source."""


def has_suppressions(connection: Connection[Any], workspace: int) -> bool:
    """Say whether there is anybody whose messages are ignored."""
    return bool(_one(connection, _ANY, (workspace,)))


def filter_suppressed(
    connection: Connection[Any],
    workspace: int,
    entries: Sequence[PreparedMessage],
    stream_of: Callable[[Identifier], bytes],
) -> Filtered:
    """Leave out messages that name anybody whose messages are ignored."""
    named = [{stream_of(it) for it in _identifiers_in(entry)} for entry in entries]
    asked = UuidArray(sorted({stream for streams in named for stream in streams}))
    with connection.cursor(binary=True) as cursor:
        found = {stream for (stream,) in cursor.execute(_AMONG, (workspace, asked)).fetchall()}
    if not found:
        return Filtered(entries, frozenset(), ())
    kept = [entry for entry, streams in zip(entries, named, strict=True) if not streams & found]
    gone = [entry for entry, streams in zip(entries, named, strict=True) if streams & found]
    return Filtered(kept, frozenset(it.digest for it in gone), _rejections_by_source(gone))


def suppress_streams(
    connection: Connection[Any],
    workspace: int,
    profile_id: UUID,
    streams: Iterable[UUID],
    at: datetime,
) -> None:
    """Ignore messages about these streams from the commit on."""
    connection.execute(_ADD, (workspace, profile_id, at, sorted(streams)))


def lift_suppression(
    connection: Connection[Any], workspace: int, stream: UUID
) -> tuple[UUID, Sequence[UUID]] | None:
    """Free all streams that were suppressed with this one; return the person and the streams."""
    rows = connection.execute(_LIFT, (workspace, workspace, stream)).fetchall()
    return (rows[0][0], sorted(stream for _, stream in rows)) if rows else None


def list_suppressions(
    connection: Connection[Any], workspace: int, after: UUID, limit: int
) -> tuple[int, Sequence[Suppression]]:
    """Return how many people are suppressed, and a page of them in the order of their ids."""
    rows = connection.execute(_LIST, (workspace, after, limit)).fetchall()
    return _one(connection, _COUNT, (workspace,)), [Suppression(*row) for row in rows]


def _identifiers_in(entry: PreparedMessage) -> Iterable[Identifier]:
    return (*entry.message.identifiers, *entry.message.absorbs)


def _rejections_by_source(entries: Iterable[PreparedMessage]) -> Sequence[Rejection]:
    times = Counter(entry.message.source for entry in entries)
    earliest = {entry.message.source: entry.message.received_at for entry in entries}
    return [
        Rejection(
            code="suppressed",
            message="about a suppressed person, so it was ignored and nothing of it was kept",
            raw=b"",
            source=source,
            received_at=earliest[source],
            times=times[source],
        )
        for source in sorted(times)
    ]


def _one(connection: Connection[Any], sql: str, params: tuple[Any, ...]) -> Any:
    row = connection.execute(sql, params).fetchone()
    assert row is not None
    return row[0]
