"""Fired triggers: each fires once, and none before the watermark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from application.ledger.binary_arrays import UuidArray

# A trigger's digest is never that of a message, and without a message there is no content to compare.
_INSERT_NEW = """
INSERT INTO ledger.message_seen (workspace, digest, content)
SELECT %b, digest, 0 FROM unnest(%b) AS sent (digest)
ON CONFLICT DO NOTHING
RETURNING uuid_send(digest)
"""

_WATERMARK = "SELECT at FROM ledger.fired WHERE workspace = %s"

_ADVANCE = """
INSERT INTO ledger.fired AS existing (workspace, at) VALUES (%s, %s)
ON CONFLICT (workspace) DO UPDATE SET at = greatest(existing.at, excluded.at)
"""


def watermark(connection: Connection[Any], workspace: int) -> int:
    """Returns the instant since which triggers may fire, in microseconds since 1970-01-01 UTC."""
    row = connection.execute(_WATERMARK, (workspace,)).fetchone()
    return 0 if row is None else row[0]


def advance_watermark(connection: Connection[Any], workspace: int, at: int) -> None:
    """Advances the watermark; an earlier instant changes nothing.  Older triggers never fire."""
    connection.execute(_ADVANCE, (workspace, at))


def insert_new(
    connection: Connection[Any], workspace: int, digests: Iterable[bytes]
) -> frozenset[bytes]:
    """Records triggers as fired in the caller's transaction; returns those that are new."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_INSERT_NEW, (workspace, UuidArray(sorted(digests))))
        return frozenset(digest for (digest,) in cursor.fetchall())
