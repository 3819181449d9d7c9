"""Rejections: input that could not be accepted, stored unchanged with the reason."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection, Cursor

from application.ledger.store import LedgerDatastore
from domain.core.identifiers import Identifier, hash_for

_rejection_hash = hash_for(b"rejected")

_UPSERT = """
INSERT INTO ledger.rejected AS existing
    (workspace, digest, received_at, source, code, message, message_id, raw, times)
VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b)
ON CONFLICT (workspace, digest) DO UPDATE SET times = existing.times + excluded.times
"""

_LIST = """
SELECT digest, received_at, source, code, message, message_id, raw, times
FROM ledger.rejected WHERE workspace = %s
"""

# The raw bytes are searched as text, with bytes that are not ASCII in octal, so that no encoding is assumed.
_CANDIDATES = """
SELECT digest, raw FROM ledger.rejected, LATERAL (
    SELECT lower(encode(raw, 'escape')) AS escaped OFFSET 0
) AS as_text
WHERE workspace = %s AND (substring(raw FOR 2) = '\\x1f8b' OR EXISTS (
    SELECT FROM unnest(%s::text[]) AS wanted (spelling) WHERE strpos(escaped, spelling) > 0
))
ORDER BY digest FOR UPDATE OF rejected
"""

_BLANK = """
UPDATE ledger.rejected
SET raw = '', message_id = NULL, message = 'erased together with its profile'
WHERE workspace = %s AND digest = ANY (%s)
"""

_MIN_DISTINCTIVE_LENGTH = 6
"""Shortest identifier value, in characters, that counts as named wherever it occurs in a document."""

_MAX_UNPACKED_BYTES = 16 * 1024 * 1024


class Rejection(NamedTuple):
    """Input that could not be accepted, with its raw bytes and the reason."""

    code: str
    message: str
    raw: bytes
    source: str
    received_at: datetime
    message_id: str | None = None
    times: int = 1

    def digest(self, secret: bytes) -> bytes:
        """Returns the 16 bytes that de-duplicate repeated rejections of the same bytes."""
        text = b"\0".join((self.code.encode(), self.source.encode(), self.raw))
        return _rejection_hash(text, key=secret).digest()


class RejectedRow(NamedTuple):
    """A stored rejection; ``times`` counts how often the same bytes were received."""

    id: UUID
    received_at: datetime
    source: str
    code: str
    message: str
    message_id: str | None
    raw: bytes
    times: int


def list_rejected(
    store: LedgerDatastore,
    workspace: int,
    *,
    code: str | None = None,
    source: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[RejectedRow]:
    """Returns rejections, newest first.

    ``before`` is ``(received_at, id)`` of the last row of the previous page.
    """
    sql = _LIST
    params: list[Any] = [workspace]
    if code is not None:
        sql += " AND code = %s"
        params.append(code)
    if source is not None:
        sql += " AND source = %s"
        params.append(source)
    if before is not None:
        sql += " AND (received_at, digest) < (%s, %s)"
        params.extend(before)
    sql += " ORDER BY received_at DESC, digest DESC LIMIT %s"
    params.append(limit)
    with store.connection() as connection:
        return [RejectedRow(*row) for row in connection.execute(sql, params).fetchall()]


def store_rejections(
    cursor: Cursor[Any], workspace: int, secret: bytes, rejections: Sequence[Rejection]
) -> None:
    """Stores rejections; one that is stored already only counts up."""
    if rejections:
        rows = sorted(
            (
                workspace,
                UUID(bytes=rejection.digest(secret)),
                rejection.received_at,
                rejection.source,
                rejection.code,
                _storable(rejection.message),
                _storable(rejection.message_id),
                rejection.raw,
                rejection.times,
            )
            for rejection in rejections
        )
        cursor.executemany(_UPSERT, rows)


def _storable(text: str | None) -> str | None:
    """Replaces NUL and lone surrogates, which PostgreSQL's text cannot hold."""
    if text is None:
        return None
    return text.replace("\0", "�").encode("utf-8", "replace").decode()


def blank_rejected(
    connection: Connection[Any], workspace: int, identifiers: Iterable[Identifier]
) -> int:
    """Blanks the rejections that name any of the identifiers; returns how many.

    The row itself stays: its time, source and code.
    """
    values = sorted({identifier.value for identifier in identifiers})
    wanted = sorted(
        {_escaped(spelling).lower() for value in values for spelling in _spellings(value)}
    )
    if not wanted:
        return 0
    matchers = [_value_matcher(value) for value in values]
    rows = connection.execute(_CANDIDATES, (workspace, wanted)).fetchall()
    digests = [
        digest for digest, raw in rows if any(matches(_unpacked(raw)) for matches in matchers)
    ]
    return connection.execute(_BLANK, (workspace, digests)).rowcount if digests else 0


def _spellings(value: str) -> set[bytes]:
    """Returns the byte sequences that spell a value: plain, or in JSON with or without escapes."""
    plain = value.encode("utf-8", "surrogatepass")
    quoted = json.dumps(value, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    return {plain, quoted, json.dumps(value)[1:-1].encode()}


def _escaped(data: bytes) -> str:
    """Returns bytes as PostgreSQL's ``encode(…, 'escape')`` writes them."""
    return "".join(
        "\\\\" if byte == 92 else chr(byte) if 0 < byte < 128 else f"\\{byte:03o}" for byte in data
    )


def _value_matcher(value: str) -> Callable[[bytes], bool]:
    """Returns a function that finds an identifier's value in a document.

    A short value or a number may occur by chance: in JSON it counts only as the value of an id.
    """
    pattern = b"|".join(re.escape(spelling) for spelling in sorted(_spellings(value)))
    whole = re.compile(rb"(?<![0-9a-z_])(?:%b)(?![0-9a-z_])" % pattern, re.IGNORECASE)
    as_id = re.compile(rb'id"\s*:\s*"?(?:%b)(?![0-9a-z_])' % pattern, re.IGNORECASE)
    distinctive = len(value) >= _MIN_DISTINCTIVE_LENGTH and not value.isdecimal()

    def matches(document: bytes) -> bool:
        is_json = document.lstrip()[:1] in {b"{", b"["}
        return (as_id if is_json and not distinctive else whole).search(document) is not None

    return matches


def _unpacked(raw: bytes) -> bytes:
    """Returns a gzip body unpacked, as far as `_MAX_UNPACKED_BYTES`; any other body unchanged."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    with suppress(zlib.error):
        return zlib.decompressobj(wbits=31).decompress(raw, _MAX_UNPACKED_BYTES)
    return raw
