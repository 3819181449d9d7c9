"""The append transaction: writes a flush completely or not at all.

Every writer takes its locks in one order, sorted within each table: messages seen, rejections, links
seen, stream links, stream heads, and last the ledger head.  The ledger head is the one point where
writers queue.  It is held until the commit, so positions are dense and in commit order, and a rollback
frees them.  There is no NOTIFY here, because it takes a lock of the whole server until the commit, and
no ON CONFLICT on events, because a conflict there must abort.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from psycopg import Connection, Cursor

from application.ledger.append import seen
from application.ledger.append.binary import EVENT_COLUMNS, encode_copy
from application.ledger.append.prepared import (
    EventRow,
    PreparedLink,
    PreparedMessage,
    StaleErasureEpoch,
)
from application.ledger.binary_arrays import BigintArray, UuidArray
from application.ledger.tables.rejected import Rejection, store_rejections

_INCREMENT_STREAM_HEADS = """
INSERT INTO ledger.stream_head AS head (stream_id, version)
SELECT stream_id, n FROM unnest(%b, %b) AS increments (stream_id, n)
ON CONFLICT (stream_id) DO UPDATE SET version = head.version + excluded.version
RETURNING uuid_send(stream_id), version
"""

_RAISE_STREAM_HEADS = """
INSERT INTO ledger.stream_head AS head (stream_id, version)
SELECT stream_id, version FROM unnest(%b, %b) AS raised (stream_id, version)
ON CONFLICT (stream_id) DO UPDATE SET version = greatest(head.version, excluded.version)
"""

_ADVANCE_HEAD = """
UPDATE ledger.ledger_head
SET last_position = last_position + %b, recorded_at = greatest(recorded_at, clock_timestamp())
WHERE workspace = %b
RETURNING last_position, (extract(epoch FROM recorded_at) * 1000000)::bigint, erasures
"""

_HEAD = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %b"

_COPY = f"COPY ledger.event ({EVENT_COLUMNS}) FROM STDIN (FORMAT binary)"


class AppendResult(NamedTuple):
    """Outcome of a committed flush."""

    position: int
    """The ledger's last position after the flush."""

    recorded: frozenset[bytes]
    """Digests of the messages that were recorded; the others are duplicates."""

    links: Sequence[PreparedLink] = ()
    """Links that are durable, with this ``occurred_at`` or an earlier one."""

    suppressed: frozenset[bytes] = frozenset()
    """Digests of the messages that were dropped because of a suppression."""


def append(
    connection: Connection[Any],
    workspace: int,
    secret: bytes,
    entries: Sequence[PreparedMessage],
    rejections: Sequence[Rejection],
    *,
    erasure_epoch: int = 0,
) -> AppendResult:
    """Writes a flush of one workspace; durable when it returns.

    ``secret`` keys the workspace's digests.  Raises StaleErasureEpoch unless ``erasure_epoch`` is
    the workspace's current one.

    Any error means that nothing was written, except for a connection lost during the commit: then
    the outcome is unknown.  Append the same flush again; its digests show whether it was written.
    """
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        first = _first_of_each(entries)
        before = seen.insert_messages_seen(cursor, workspace, first) if first else {}
        fresh = first.keys() - before.keys() if before else first.keys()
        conflicts = _fingerprint_conflicts(entries, first, before)
        store_rejections(
            cursor, workspace, secret, [*rejections, *map(_conflict_rejection, conflicts)]
        )
        recorded = [entry for digest, entry in first.items() if digest not in before]
        shown = seen.earliest_links(recorded)
        links = seen.upsert_links_seen(cursor, workspace, shown)
        seen.insert_stream_links(cursor, workspace, links, recorded)
        rows = [link.row for link in links] + [entry.row for entry in recorded]
        if rows:
            position = _write_next(connection, cursor, workspace, rows, erasure_epoch)
        else:
            position = _last_position(cursor, workspace)
    return AppendResult(position, frozenset(fresh), tuple(shown.values()))


def append_events(
    connection: Connection[Any],
    workspace: int,
    rows: Sequence[EventRow],
    erasure_epoch: int | None = None,
) -> int:
    """Writes events in the caller's transaction; returns the last position.

    Raises StaleErasureEpoch if ``erasure_epoch`` is given and is not the workspace's current one.
    """
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        return _write_next(connection, cursor, workspace, rows, erasure_epoch)


def append_versioned(
    connection: Connection[Any], workspace: int, rows: Sequence[tuple[EventRow, int]]
) -> Sequence[int]:
    """Writes events with versions chosen by the caller; returns their positions.

    Raises psycopg's UniqueViolation if a stream already has one of the versions.
    """
    heads: dict[bytes, int] = {}
    for row, version in rows:
        heads[row.stream] = max(version, heads.get(row.stream, version))
    streams = sorted(heads)
    params = (UuidArray(streams), BigintArray(heads[stream] for stream in streams))
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        cursor.execute(_RAISE_STREAM_HEADS, params)
        last, recorded_us, _ = _advance_head(cursor, workspace, len(rows))
        events, versions = [row for row, _ in rows], [version for _, version in rows]
        _copy(cursor, workspace, events, versions, last, recorded_us)
    return range(last - len(rows) + 1, last + 1)


def _first_of_each(entries: Iterable[PreparedMessage]) -> dict[bytes, PreparedMessage]:
    first: dict[bytes, PreparedMessage] = {}
    for entry in entries:
        first.setdefault(entry.digest, entry)
    return first


def _fingerprint_conflicts(
    entries: Sequence[PreparedMessage],
    first: Mapping[bytes, PreparedMessage],
    before: Mapping[bytes, int],
) -> tuple[PreparedMessage, ...]:
    """Returns the messages whose id was recorded, before or in this flush, with other content."""
    if not before and len(first) == len(entries):
        return ()
    return tuple(
        entry
        for entry in entries
        if entry.fingerprint != before.get(entry.digest, first[entry.digest].fingerprint)
    )


def _conflict_rejection(entry: PreparedMessage) -> Rejection:
    message = entry.message
    return entry.as_rejection(
        "id_used_before",
        f"message id {message.message_id!r} was already recorded with different content; the first"
        " message is kept"
        f" (fingerprint of this one: {message.fingerprint & (1 << 64) - 1:016x})",
    )


def _write_next(
    connection: Connection[Any],
    cursor: Cursor[Any],
    workspace: int,
    rows: Sequence[EventRow],
    erasure_epoch: int | None,
) -> int:
    """Writes rows as the next events of their streams, in order; returns the last position.

    Stream heads and the ledger head are locked in one round trip; other writers queue from the
    first lock.
    """
    increments = Counter(row.stream for row in rows)
    streams = sorted(increments)
    params = (UuidArray(streams), BigintArray(increments[stream] for stream in streams))
    with connection.pipeline(), connection.cursor(binary=True) as head:
        cursor.execute(_INCREMENT_STREAM_HEADS, params)
        last, recorded_us, current_epoch = _advance_head(head, workspace, len(rows))
    if erasure_epoch is not None and erasure_epoch != current_epoch:
        raise StaleErasureEpoch(current_epoch)
    next_versions = {stream: version - increments[stream] for stream, version in cursor.fetchall()}
    versions = []
    for row in rows:
        version = next_versions[row.stream] = next_versions[row.stream] + 1
        versions.append(version)
    return _copy(cursor, workspace, rows, versions, last, recorded_us)


def _copy(  # noqa: PLR0917 - the parts of a row, in the order in which they become known
    cursor: Cursor[Any],
    workspace: int,
    rows: Sequence[EventRow],
    versions: Sequence[int],
    last: int,
    recorded_us: int,
) -> int:
    with cursor.copy(_COPY) as copy:
        copy.write(encode_copy(workspace, last - len(rows), recorded_us, rows, versions))
    return last


def _advance_head(cursor: Cursor[Any], workspace: int, count: int) -> tuple[int, int, int]:
    """Takes the next ``count`` positions, and the lock on the ledger head until the commit.

    Returns the last position, its recording time in microseconds since 1970-01-01 UTC, and the
    erasure epoch.
    """
    cursor.execute(_ADVANCE_HEAD, (count, workspace))
    row = cursor.fetchone()
    if row is None:
        _raise_unknown_workspace(workspace)
    last, recorded_us, erasure_epoch = row
    return last, recorded_us, erasure_epoch


def _last_position(cursor: Cursor[Any], workspace: int) -> int:
    cursor.execute(_HEAD, (workspace,))
    row = cursor.fetchone()
    if row is None:
        _raise_unknown_workspace(workspace)
    return int(row[0])


def _raise_unknown_workspace(workspace: int) -> NoReturn:
    raise LookupError(f"workspace {workspace} does not exist")
