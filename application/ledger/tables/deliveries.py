"""Stored deliveries with their attempts: listing, redelivery and erasure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.ledger.tables.leases import DeliveryState
from application.ledger.tables.outbox import queue_of

_COLUMNS = """
id, rule, version, cause, person, lane, action, created_at, due_at, state, attempts, finished_at,
reason
"""

_REDELIVER = """
UPDATE ledger.delivery
SET state = 'waiting', lane = %s, due_at = %s, step = 0, reason = NULL, finished_at = NULL
WHERE workspace = %s AND id = %s AND state <> 'sending' AND action <> ''
"""

_ATTEMPTS = """
SELECT delivery, attempt, at, duration_ms, status, error, reply FROM ledger.delivery_attempt
WHERE workspace = %s AND delivery = ANY (%s) ORDER BY delivery, attempt
"""

_ERASE = """
UPDATE ledger.delivery
SET action = '', context = '', person = NULL, cause = '', worker = NULL, leased_until = NULL,
    fence = fence + 1, reason = 'erased together with its profile',
    state = CASE state WHEN 'delivered' THEN 'delivered' ELSE 'failed' END,
    finished_at = coalesce(finished_at, clock_timestamp())
WHERE workspace = %s AND person = ANY (%s)
RETURNING id
"""

_ERASE_ATTEMPTS = """
UPDATE ledger.delivery_attempt SET reply = NULL, error = NULL
WHERE workspace = %s AND delivery = ANY (%s)
"""


class AttemptRow(NamedTuple):
    """A stored attempt."""

    delivery: UUID
    attempt: int
    at: datetime
    duration_ms: int
    status: int | None
    error: str | None
    reply: bytes | None


class DeliveryRow(NamedTuple):
    """A stored delivery, without its context and lease."""

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
    """Returns deliveries, newest first.

    ``before`` is ``(created_at, id)`` of the last row of the previous page.
    """
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
    """Returns a delivery; None if it does not exist."""
    sql = f"SELECT {_COLUMNS} FROM ledger.delivery WHERE workspace = %s AND id = %s"
    row = connection.execute(sql, (workspace, id_)).fetchone()
    return None if row is None else DeliveryRow(*row)


def attempts_by_delivery(
    connection: Connection[Any], workspace: int, ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[AttemptRow]]:
    """Returns the attempts of each delivery, oldest first."""
    attempts: dict[UUID, list[AttemptRow]] = {id_: [] for id_ in ids}
    for row in connection.execute(_ATTEMPTS, (workspace, list(ids))).fetchall():
        attempt = AttemptRow(*row)
        attempts[attempt.delivery].append(attempt)
    return attempts


def redeliver(
    connection: Connection[Any], workspace: int, delivery: DeliveryRow, now: datetime
) -> bool:
    """Queues a delivery again with a full retry schedule.

    Its queue is found again: an earlier version may not have known the action.
    Returns False if it is being sent, was erased or does not exist.
    """
    params = (queue_of(delivery.action), now, workspace, delivery.id)
    return bool(connection.execute(_REDELIVER, params).rowcount)


def erase_deliveries(connection: Connection[Any], workspace: int, streams: Sequence[UUID]) -> None:
    """Blanks the deliveries of a profile's streams; those that wait are never sent."""
    rows = connection.execute(_ERASE, (workspace, list(streams))).fetchall()
    if rows:
        connection.execute(_ERASE_ATTEMPTS, (workspace, [id_ for (id_,) in rows]))
