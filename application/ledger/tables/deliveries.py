"""What is kept of deliveries: each with its attempts, to be shown, done once more, or forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.tables.leases import DeliveryState

_COLUMNS = """
id, rule, version, cause, person, lane, action, created_at, due_at, state, attempts, finished_at,
reason
"""

_REPLAY = """
UPDATE ledger.delivery SET state = 'waiting', due_at = %s, step = 0, reason = NULL, finished_at = NULL
WHERE workspace = %s AND id = %s AND state <> 'sending' AND action <> ''
"""

_ATTEMPTS = """
SELECT delivery, attempt, at, duration_ms, status, error, reply FROM ledger.delivery_attempt
WHERE workspace = %s AND delivery = ANY (%s) ORDER BY delivery, attempt
"""

_FORGET = """
UPDATE ledger.delivery
SET action = '', context = '', person = NULL, cause = '', worker = NULL, leased_until = NULL,
    fence = fence + 1, reason = 'erased, with whom it was about',
    state = CASE state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END,
    finished_at = coalesce(finished_at, clock_timestamp())
WHERE workspace = %s AND person = ANY (%s)
RETURNING id
"""

_FORGET_ATTEMPTS = """
UPDATE ledger.delivery_attempt SET reply = NULL, error = NULL
WHERE workspace = %s AND delivery = ANY (%s)
"""


class AttemptRow(NamedTuple):
    """One attempt, as it is kept."""

    delivery: UUID
    attempt: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    reply: bytes | None


class DeliveryRow(NamedTuple):
    """A delivery, as it is shown."""

    id: UUID
    rule: str
    version: int
    cause: str
    profile_stream: UUID | None
    queue: str
    action: bytes
    created_at: datetime
    due_at: datetime
    state: DeliveryState
    attempts: int
    finished_at: datetime | None
    reason: str | None


def list_deliveries(
    connection: Connection[Any],
    workspace: int,
    *,
    rule: str | None = None,
    queue: str | None = None,
    state: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> Sequence[DeliveryRow]:
    """Return deliveries, the newest first; ``before`` is the last row of the page before."""
    sql, params = f"SELECT {_COLUMNS} FROM ledger.delivery WHERE workspace = %s", [workspace]
    for column, value in (("rule", rule), ("lane", queue), ("state", state)):
        if value is not None:
            sql += f" AND {column} = %s"
            params.append(value)  # type: ignore[arg-type]
    if before is not None:
        sql += " AND (created_at, id) < (%s, %s)"
        params += before  # type: ignore[arg-type]
    sql += " ORDER BY created_at DESC, id DESC LIMIT %s"
    return [DeliveryRow(*row) for row in connection.execute(sql, [*params, limit]).fetchall()]


def get_delivery(connection: Connection[Any], workspace: int, id_: UUID) -> DeliveryRow | None:
    """Return one delivery."""
    sql = f"SELECT {_COLUMNS} FROM ledger.delivery WHERE workspace = %s AND id = %s"
    row = connection.execute(sql, (workspace, id_)).fetchone()
    return None if row is None else DeliveryRow(*row)


def attempts_by_delivery(
    connection: Connection[Any], workspace: int, ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[AttemptRow]]:
    """Return the attempts of deliveries, the first first."""
    found: dict[UUID, list[AttemptRow]] = {it: [] for it in ids}
    for row in connection.execute(_ATTEMPTS, (workspace, list(ids))).fetchall():
        found[row[0]].append(AttemptRow(*row))
    return found


def redeliver(connection: Connection[Any], workspace: int, id_: UUID, now: datetime) -> bool:
    """Let a delivery be done once more, with all its attempts; False of one that cannot be."""
    return bool(connection.execute(_REPLAY, (now, workspace, id_)).rowcount)


def erase_deliveries(connection: Connection[Any], workspace: int, streams: Sequence[UUID]) -> None:
    """Blank what is kept of deliveries about a person; those that wait are never done."""
    found = connection.execute(_FORGET, (workspace, list(streams))).fetchall()
    if found:
        connection.execute(_FORGET_ATTEMPTS, (workspace, [it for (it,) in found]))
