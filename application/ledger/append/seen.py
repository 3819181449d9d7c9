"""Messages and links that the ledger has seen: what makes an append record each only once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Cursor

from application.ledger.append.prepared import PreparedLink, PreparedMessage
from application.ledger.binary_arrays import BigintArray, TimestampArray, UuidArray
from domain.core.time import to_micros

INSERT_MESSAGES_SEEN = """
INSERT INTO ledger.message_seen (workspace, digest, content)
SELECT %b, digest, content FROM unnest(%b, %b) AS sent (digest, content)
ON CONFLICT DO NOTHING
"""

SELECT_MESSAGES_SEEN = """
SELECT uuid_send(digest), content FROM ledger.message_seen
WHERE workspace = %b AND digest = ANY (%b) AND xmin <> pg_current_xact_id()::xid
"""

_UPSERT_LINKS_SEEN = """
INSERT INTO ledger.link_seen AS existing (workspace, digest, occurred_at)
SELECT %b, digest, occurred_at FROM unnest(%b, %b) AS sent (digest, occurred_at)
ON CONFLICT (workspace, digest) DO UPDATE SET occurred_at = excluded.occurred_at
WHERE excluded.occurred_at < existing.occurred_at
RETURNING uuid_send(digest)
"""

_INSERT_STREAM_LINKS = """
INSERT INTO ledger.stream_link (workspace, stream, other)
SELECT %b, stream, other FROM unnest(%b, %b) AS linked (stream, other)
ON CONFLICT DO NOTHING
"""


def insert_messages_seen(
    cursor: Cursor[Any], workspace: int, first: Mapping[bytes, PreparedMessage]
) -> Mapping[bytes, int]:
    """Inserts the digests of messages; returns the fingerprints of those recorded before.

    Nearly always there are none, and the row count shows it.  Otherwise a second statement selects
    them, among the rows that this transaction did not write.
    """
    digests = sorted(first)
    sent = UuidArray(digests)
    fingerprints = BigintArray(first[digest].fingerprint for digest in digests)
    params = (workspace, sent, fingerprints)
    if cursor.execute(INSERT_MESSAGES_SEEN, params).rowcount == len(digests):
        return {}
    return dict(cursor.execute(SELECT_MESSAGES_SEEN, (workspace, sent)).fetchall())


def earliest_links(entries: Iterable[PreparedMessage]) -> dict[bytes, PreparedLink]:
    """Returns the links that messages show, by digest, each as its earliest message shows it."""
    earliest: dict[bytes, PreparedLink] = {}
    for entry in entries:
        for link in entry.links:
            known = earliest.setdefault(link.link.digest, link)
            if link.occurred_at < known.occurred_at:
                earliest[link.link.digest] = link
    return earliest


def upsert_links_seen(
    cursor: Cursor[Any], workspace: int, shown: Mapping[bytes, PreparedLink]
) -> list[PreparedLink]:
    """Stores links; returns those that are new or earlier than the stored ones, to be recorded."""
    if not shown:
        return []
    digests = sorted(shown)
    times = TimestampArray(to_micros(shown[digest].occurred_at) for digest in digests)
    cursor.execute(_UPSERT_LINKS_SEEN, (workspace, UuidArray(digests), times))
    return [shown[digest] for (digest,) in cursor.fetchall()]


def insert_stream_links(
    cursor: Cursor[Any],
    workspace: int,
    links: Iterable[PreparedLink],
    entries: Iterable[PreparedMessage],
) -> None:
    """Stores which streams the recorded facts relate, in both directions."""
    pairs = {link.link.streams for link in links} | {
        pair for entry in entries for pair in entry.stream_links
    }
    if pairs:
        both = sorted(pairs | {(right, left) for left, right in pairs})
        streams, others = zip(*both, strict=True)
        cursor.execute(_INSERT_STREAM_LINKS, (workspace, UuidArray(streams), UuidArray(others)))
