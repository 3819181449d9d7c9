"""The append: one transaction that writes a flush, or nothing of it.

Locks are taken in one order by everybody, sorted within each table: messages seen, what was rejected,
links seen, joined streams, stream heads, and last the head of the ledger.  The head is the one point where writers
queue; it is held until the commit, so positions are dense and in commit order, and a rollback gives
them back.  There is no NOTIFY here (it takes a lock of the whole server until commit) and no ON CONFLICT
on events: a conflict there must abort.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection, Cursor

from application.ledger.append.binary import (
    EVENT_COLUMNS,
    BigintArray,
    TimestampArray,
    UuidArray,
    encode_copy,
)
from application.ledger.append.prepared import (
    EventRow,
    PreparedLink,
    PreparedMessage,
    Rejection,
    StaleErasureEpoch,
)
from application.ledger.tables.rejected import store_rejections
from domain.core.time import to_micros

_SEE_MESSAGES = """
INSERT INTO ledger.message_seen (workspace, digest, content)
SELECT %b, digest, content FROM unnest(%b, %b) AS sent (digest, content)
ON CONFLICT DO NOTHING
"""

_SEEN_BEFORE = """
SELECT uuid_send(digest), content FROM ledger.message_seen
WHERE workspace = %b AND digest = ANY (%b) AND xmin <> pg_current_xact_id()::xid
"""

_SEE_LINKS = """
INSERT INTO ledger.link_seen AS known (workspace, digest, occurred_at)
SELECT %b, digest, occurred_at FROM unnest(%b, %b) AS shown (digest, occurred_at)
ON CONFLICT (workspace, digest) DO UPDATE SET occurred_at = excluded.occurred_at
WHERE excluded.occurred_at < known.occurred_at
RETURNING uuid_send(digest)
"""

_JOIN_STREAMS = """
INSERT INTO ledger.stream_link (workspace, stream, other)
SELECT %b, stream, other FROM unnest(%b, %b) AS joined (stream, other)
ON CONFLICT DO NOTHING
"""

_GROW_STREAMS = """
INSERT INTO ledger.stream_head AS head (stream_id, version)
SELECT stream_id, n FROM unnest(%b, %b) AS grown (stream_id, n)
ON CONFLICT (stream_id) DO UPDATE SET version = head.version + excluded.version
RETURNING uuid_send(stream_id), version
"""

_RAISE_STREAMS = """
INSERT INTO ledger.stream_head AS head (stream_id, version)
SELECT stream_id, version FROM unnest(%b, %b) AS given (stream_id, version)
ON CONFLICT (stream_id) DO UPDATE SET version = greatest(head.version, excluded.version)
"""

_MOVE_HEAD = """
UPDATE ledger.ledger_head
SET last_position = last_position + %b, recorded_at = greatest(recorded_at, clock_timestamp())
WHERE workspace = %b
RETURNING last_position, (extract(epoch FROM recorded_at) * 1000000)::bigint, erasures
"""

_HEAD = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %b"

_COPY = f"COPY ledger.event ({EVENT_COLUMNS}) FROM STDIN (FORMAT binary)"


class AppendResult(NamedTuple):
    """What a committed flush added."""

    position: int
    """The ledger's last position after it."""

    recorded: frozenset[bytes]
    """Digests of the messages that were recorded; the others had been recorded before."""

    links: Sequence[PreparedLink] = ()
    """Links that are now known to be there, from that time on or earlier."""

    suppressed: frozenset[bytes] = frozenset()
    """Digests of the messages that were ignored, for what they are about."""


def append(  # noqa: PLR0917 - called once a flush, by one caller
    connection: Connection[Any],
    workspace: int,
    secret: bytes,
    entries: Sequence[PreparedMessage],
    rejections: Sequence[Rejection],
    erasure_epoch: int = 0,
) -> AppendResult:
    """Write a flush of one workspace, whose secret keys its digests; durable when it returns.

    Raises Outdated unless the workspace has had as many erasures as the caller knows of.

    Any error means that nothing was written, except that a connection lost during the commit leaves
    it open whether it was: append the same flush again, and the digests tell.
    """
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        first = _first_of_each(entries)
        before = _see_messages(cursor, workspace, first) if first else {}
        fresh = first.keys() - before.keys() if before else first.keys()
        clashes = _fingerprint_conflicts(entries, first, before)
        store_rejections(
            cursor, workspace, secret, [*rejections, *map(_conflict_rejection, clashes)]
        )
        recorded = [entry for digest, entry in first.items() if digest not in before]
        shown = _earliest_links(recorded)
        links = _new_links(cursor, workspace, shown)
        _store_stream_links(cursor, workspace, links, recorded)
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
    """Write events of the ledger's own, in a transaction of the caller; return the last position.

    Raises Outdated unless the workspace has had that many erasures, if it is said how many.
    """
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        return _write_next(connection, cursor, workspace, rows, erasure_epoch)


def append_versioned(
    connection: Connection[Any], workspace: int, rows: Sequence[tuple[EventRow, int]]
) -> Sequence[int]:
    """Write events whose versions were decided by the caller; return their positions.

    Raises psycopg's UniqueViolation if a stream already has one of the versions.
    """
    heads: dict[bytes, int] = {}
    for row, version in rows:
        heads[row.stream] = max(version, heads.get(row.stream, version))
    streams = sorted(heads)
    with connection.transaction(), connection.cursor(binary=True) as cursor:
        cursor.execute(_RAISE_STREAMS, (UuidArray(streams), BigintArray(heads[s] for s in streams)))
        last, recorded_us, _ = _move_head(cursor, workspace, len(rows))
        written, versions = [row for row, _ in rows], [version for _, version in rows]
        _copy(cursor, workspace, written, versions, last, recorded_us)
    return range(last - len(rows) + 1, last + 1)


def _first_of_each(entries: Iterable[PreparedMessage]) -> dict[bytes, PreparedMessage]:
    first: dict[bytes, PreparedMessage] = {}
    for entry in entries:
        first.setdefault(entry.digest, entry)
    return first


def _conflict_rejection(entry: PreparedMessage) -> Rejection:
    message = entry.message
    return entry.as_rejection(
        "id_used_before",
        f"a message {message.message_id!r} with other content was recorded before;"
        f" the first one stays (this one's fingerprint is {message.fingerprint & (1 << 64) - 1:016x})",
    )


def _see_messages(
    cursor: Cursor[Any], workspace: int, first: dict[bytes, PreparedMessage]
) -> Mapping[bytes, int]:
    """Remember the messages; return those that had been seen before, with their content then.

    Nearly always there are none, and the number of rows says so: what the others are is asked only
    when it is needed, of the rows that this transaction did not write.
    """
    digests = sorted(first)
    sent = UuidArray(digests)
    contents = BigintArray(first[digest].fingerprint for digest in digests)
    if cursor.execute(_SEE_MESSAGES, (workspace, sent, contents)).rowcount == len(digests):
        return {}
    return dict(cursor.execute(_SEEN_BEFORE, (workspace, sent)).fetchall())


def _fingerprint_conflicts(
    entries: Sequence[PreparedMessage],
    first: Mapping[bytes, PreparedMessage],
    before: Mapping[bytes, int],
) -> tuple[PreparedMessage, ...]:
    if not before and len(first) == len(entries):
        return ()
    return tuple(
        entry
        for entry in entries
        if entry.fingerprint != before.get(entry.digest, first[entry.digest].fingerprint)
    )


def _earliest_links(entries: Iterable[PreparedMessage]) -> dict[bytes, PreparedLink]:
    earliest: dict[bytes, PreparedLink] = {}
    for entry in entries:
        for link in entry.links:
            known = earliest.setdefault(link.link.digest, link)
            if link.occurred_at < known.occurred_at:
                earliest[link.link.digest] = link
    return earliest


def _new_links(
    cursor: Cursor[Any], workspace: int, shown: Mapping[bytes, PreparedLink]
) -> list[PreparedLink]:
    if not shown:
        return []
    digests = sorted(shown)
    times = TimestampArray(to_micros(shown[digest].occurred_at) for digest in digests)
    cursor.execute(_SEE_LINKS, (workspace, UuidArray(digests), times))
    return [shown[digest] for (digest,) in cursor.fetchall()]


def _store_stream_links(
    cursor: Cursor[Any],
    workspace: int,
    links: Iterable[PreparedLink],
    entries: Iterable[PreparedMessage],
) -> None:
    """Remember, both ways round, which streams facts name together."""
    pairs = {link.link.streams for link in links} | {
        pair for entry in entries for pair in entry.stream_links
    }
    if pairs:
        both = sorted(pairs | {(right, left) for left, right in pairs})
        streams, others = zip(*both, strict=True)
        cursor.execute(_JOIN_STREAMS, (workspace, UuidArray(streams), UuidArray(others)))


def _write_next(
    connection: Connection[Any],
    cursor: Cursor[Any],
    workspace: int,
    rows: Sequence[EventRow],
    erasure_epoch: int | None,
) -> int:
    """Write rows as the next of their streams, in order, and return the last position.

    The head is asked for in the same breath as the streams: from the first of them on, others wait.
    """
    grown = Counter(row.stream for row in rows)
    streams = sorted(grown)
    by = BigintArray(grown[stream] for stream in streams)
    with connection.pipeline(), connection.cursor(binary=True) as head:
        cursor.execute(_GROW_STREAMS, (UuidArray(streams), by))
        last, recorded_us, now = _move_head(head, workspace, len(rows))
    if erasure_epoch not in {None, now}:
        raise StaleErasureEpoch(now)
    before = {stream: version - grown[stream] for stream, version in cursor.fetchall()}
    versions = []
    for row in rows:
        version = before[row.stream] = before[row.stream] + 1
        versions.append(version)
    return _copy(cursor, workspace, rows, versions, last, recorded_us)


def _copy(  # noqa: PLR0917 - what a row needs, in the order in which it became known
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


def _move_head(cursor: Cursor[Any], workspace: int, by: int) -> tuple[int, int, int]:
    """Take the next positions, and with them the ledger's only queue, until the commit."""
    cursor.execute(_MOVE_HEAD, (by, workspace))
    last, recorded_us, erasures = cursor.fetchone() or _raise_unknown_workspace(workspace)
    return last, recorded_us, erasures


def _last_position(cursor: Cursor[Any], workspace: int) -> int:
    cursor.execute(_HEAD, (workspace,))
    return int((cursor.fetchone() or _raise_unknown_workspace(workspace))[0])


def _raise_unknown_workspace(workspace: int) -> Any:
    raise LookupError(f"there is no workspace {workspace}")
