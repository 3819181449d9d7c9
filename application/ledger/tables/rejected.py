"""What could not be accepted: kept as it came, with the reason, until the person is erased."""

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

from application.ledger.append.prepared import Rejection
from application.ledger.store import LedgerDatastore
from domain.core.identifiers import Identifier

_KEEP = """
INSERT INTO ledger.rejected AS known
    (workspace, digest, received_at, source, code, message, message_id, raw, times)
VALUES (%b, %b, %b, %b, %b, %b, %b, %b, %b)
ON CONFLICT (workspace, digest) DO UPDATE SET times = known.times + excluded.times
"""

_LIST = """
SELECT digest, received_at, source, code, message, message_id, raw, times
FROM ledger.rejected WHERE workspace = %s
"""

# Bytes as text: what is not ASCII is in octal, so that any bytes can be searched, whatever they are.
_MAY_NAME = """
SELECT digest, raw FROM ledger.rejected, LATERAL (
    SELECT lower(encode(raw, 'escape')) AS escaped OFFSET 0
) AS shown
WHERE workspace = %s AND (substring(raw FOR 2) = '\\x1f8b' OR EXISTS (
    SELECT FROM unnest(%s::text[]) AS wanted (it) WHERE strpos(escaped, it) > 0
))
ORDER BY digest FOR UPDATE OF rejected
"""

_BLANK = """
UPDATE ledger.rejected SET raw = '', message_id = NULL, message = 'erased, with whom it was about'
WHERE workspace = %s AND digest = ANY (%s)
"""

_MIN_DISTINCTIVE_LENGTH = 6
"""Characters that a name has at least to be taken for one wherever it stands."""

_MAX_UNPACKED_BYTES = 16 * 1024 * 1024


class RejectedRow(NamedTuple):
    """Something that was refused; ``times`` counts how often the same bytes came."""

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
    """Return what was refused, newest first; ``before`` is the last row of the page before."""
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
    """Keep what is refused; of what was refused before, only count that it came again."""
    if rejections:
        rows = sorted(
            (
                *(workspace, UUID(bytes=it.digest(secret)), it.received_at, it.source, it.code),
                *(_storable(it.message), _storable(it.message_id), it.raw, it.times),
            )
            for it in rejections
        )
        cursor.executemany(_KEEP, rows)


def _storable(text: str | None) -> str | None:
    """PostgreSQL's text holds neither NUL nor lone surrogates; the raw bytes beside it do."""
    if text is None:
        return None
    return text.replace("\0", "�").encode("utf-8", "replace").decode()


def blank_rejected(
    connection: Connection[Any], workspace: int, identifiers: Iterable[Identifier]
) -> int:
    """Blank what was refused and names any of these; return how many there were.

    That something was refused, when and why, stays.
    """
    names = sorted({it.value for it in identifiers})
    wanted = sorted({_escaped(it).lower() for name in names for it in _spellings(name)})
    if not wanted:
        return 0
    sought = [_name_matcher(name) for name in names]
    rows = connection.execute(_MAY_NAME, (workspace, wanted)).fetchall()
    found = [digest for digest, raw in rows if any(it(_unpacked(raw)) for it in sought)]
    return connection.execute(_BLANK, (workspace, found)).rowcount if found else 0


def _spellings(name: str) -> set[bytes]:
    """Return the bytes that may stand for a name: as they are, and in JSON with its escapes."""
    plain = name.encode("utf-8", "surrogatepass")
    quoted = json.dumps(name, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
    return {plain, quoted, json.dumps(name)[1:-1].encode()}


def _escaped(data: bytes) -> str:
    """Return bytes as PostgreSQL's ``encode(…, 'escape')`` does."""
    return "".join(
        "\\\\" if it == 92 else chr(it) if 0 < it < 128 else f"\\{it:03o}" for it in data
    )


def _name_matcher(name: str) -> Callable[[bytes], bool]:
    """Return what tells whether a document names it.

    A short name, or a number, may be anything else as well: in JSON it counts as the value of an id.
    """
    spelt = b"|".join(re.escape(it) for it in sorted(_spellings(name)))
    whole = re.compile(rb"(?<![0-9a-z_])(?:%b)(?![0-9a-z_])" % spelt, re.IGNORECASE)
    as_id = re.compile(rb'id"\s*:\s*"?(?:%b)(?![0-9a-z_])' % spelt, re.IGNORECASE)
    telling = len(name) >= _MIN_DISTINCTIVE_LENGTH and not name.isdecimal()

    def names(document: bytes) -> bool:
        is_json = document.lstrip()[:1] in {b"{", b"["}
        return (as_id if is_json and not telling else whole).search(document) is not None

    return names


def _unpacked(raw: bytes) -> bytes:
    """Return the document in a body that was refused before it was unpacked."""
    if raw[:2] != b"\x1f\x8b":
        return raw
    with suppress(zlib.error):
        return zlib.decompressobj(wbits=31).decompress(raw, _MAX_UNPACKED_BYTES)
    return raw
