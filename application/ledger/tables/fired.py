"""Which triggers have fired, and up to when they were looked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg import Connection

from application.ledger.append.binary import UuidArray

# Under a digest that no message has; nothing was received, so there is no content to compare.
_SEE = """
INSERT INTO ledger.message_seen (workspace, digest, content)
SELECT %b, digest, 0 FROM unnest(%b) AS sent (digest)
ON CONFLICT DO NOTHING
RETURNING uuid_send(digest)
"""

_MARK = "SELECT at FROM ledger.fired WHERE workspace = %s"

_MOVE = """
INSERT INTO ledger.fired AS known (workspace, at) VALUES (%s, %s)
ON CONFLICT (workspace) DO UPDATE SET at = greatest(known.at, excluded.at)
"""


def watermark(connection: Connection[Any], workspace: int) -> int:
    """Return since when triggers may fire, in microseconds since 1970 UTC: none that is older ever will."""
    row = connection.execute(_MARK, (workspace,)).fetchone()
    return 0 if row is None else row[0]


def advance_watermark(connection: Connection[Any], workspace: int, at: int) -> None:
    """Let no trigger fire that is older; the mark never goes back."""
    connection.execute(_MOVE, (workspace, at))


def insert_new(
    connection: Connection[Any], workspace: int, digests: Iterable[bytes]
) -> frozenset[bytes]:
    """Remember, in a transaction of the caller, that these fire; return those that had not before."""
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_SEE, (workspace, UuidArray(sorted(digests))))
        return frozenset(digest for (digest,) in cursor.fetchall())
