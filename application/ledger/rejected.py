"""Reads what could not be accepted: kept as it came, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from application.ledger.store import LedgerDatastore

_LIST = """
SELECT digest, received_at, source, code, message, message_id, raw, times
FROM ledger.rejected WHERE workspace = %s
"""


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


def rejected(
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
    with store.asking() as connection:
        return [RejectedRow(*row) for row in connection.execute(sql, params).fetchall()]
