"""Leases of deliveries: each delivery is leased to one worker, which alone may complete it.

A lease carries a fence, a number that grows with each lease of the delivery.  A worker whose lease
expired comes back with an older fence, and its result is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.core import sanitise

DeliveryState = Literal["waiting", "sending", "delivered", "failed"]

LEASE_DURATION = timedelta(seconds=60)
"""How long a lease lasts; after that another worker may acquire the delivery."""

_ACQUIRE_LOCK = 0x64656C69
"""Advisory lock under which workers acquire leases in turn; an arbitrary number that nothing else uses."""

_RELEASE_EXPIRED = """
UPDATE ledger.delivery SET state = 'waiting', worker = NULL, leased_until = NULL
WHERE state = 'sending' AND leased_until < %s
"""

# Skips from queue to queue by the index, however many deliveries wait in each.
_DUE_QUEUES = """
WITH RECURSIVE lanes AS (
    (SELECT workspace, lane FROM ledger.delivery WHERE state = 'waiting'
        ORDER BY workspace, lane LIMIT 1)
    UNION ALL
    SELECT following.* FROM lanes, LATERAL (
        SELECT workspace, lane FROM ledger.delivery
        WHERE state = 'waiting' AND (workspace, lane) > (lanes.workspace, lanes.lane)
        ORDER BY workspace, lane LIMIT 1
    ) AS following
)
SELECT lanes.workspace, lanes.lane FROM lanes
LEFT JOIN ledger.endpoint AS endpoint
    ON endpoint.workspace = lanes.workspace AND endpoint.id = lanes.lane
WHERE endpoint.disabled_at IS NULL
    AND (endpoint.parked_until IS NULL OR endpoint.parked_until <= %(now)s)
    AND EXISTS (
        SELECT FROM ledger.delivery AS due
        WHERE due.workspace = lanes.workspace AND due.lane = lanes.lane
            AND due.state = 'waiting' AND due.due_at <= %(now)s
    )
    AND NOT EXISTS (
        SELECT FROM ledger.delivery AS leased
        WHERE leased.workspace = lanes.workspace AND leased.lane = lanes.lane
            AND leased.state = 'sending' AND leased.worker <> %(worker)s
    )
"""

# Materialized: planned as part of the update, the limit would be applied again for each of its rows.
_ACQUIRE = """
WITH acquired AS MATERIALIZED (
    SELECT due.workspace, due.id
    FROM unnest(%(workspaces)s::integer[], %(lanes)s::text[], %(capacities)s::integer[])
        AS queue (workspace, lane, capacity), LATERAL (
        SELECT workspace, id FROM ledger.delivery
        WHERE delivery.workspace = queue.workspace AND delivery.lane = queue.lane
            AND delivery.state = 'waiting' AND delivery.due_at <= %(now)s
        ORDER BY delivery.due_at LIMIT queue.capacity
        FOR UPDATE SKIP LOCKED
    ) AS due
)
UPDATE ledger.delivery
SET state = 'sending', fence = delivery.fence + 1, worker = %(worker)s, leased_until = %(until)s
FROM acquired WHERE delivery.workspace = acquired.workspace AND delivery.id = acquired.id
RETURNING delivery.workspace, delivery.id, delivery.rule, delivery.version, delivery.person,
    delivery.lane, delivery.action, delivery.context, delivery.created_at, delivery.attempts,
    delivery.step, delivery.fence
"""

_COMPLETE = """
WITH outcome AS (
    SELECT * FROM unnest(
        %s::integer[], %s::uuid[], %s::bigint[], %s::text[], %s::integer[], %s::timestamptz[],
        %s::text[], %s::timestamptz[], %s::integer[], %s::integer[], %s::text[], %s::bytea[]
    ) AS outcome (workspace, id, fence, state, step, due_at, reason, at, ms, status, error, reply)
), completed AS (
    UPDATE ledger.delivery
    SET state = outcome.state, step = outcome.step, attempts = delivery.attempts + 1,
        reason = outcome.reason, due_at = coalesce(outcome.due_at, delivery.due_at),
        worker = NULL, leased_until = NULL,
        finished_at = CASE WHEN outcome.state <> 'waiting' THEN outcome.at END
    FROM outcome
    WHERE delivery.workspace = outcome.workspace AND delivery.id = outcome.id
        AND delivery.fence = outcome.fence AND delivery.state = 'sending'
    RETURNING delivery.workspace, delivery.id, delivery.attempts
)
INSERT INTO ledger.delivery_attempt
    (workspace, delivery, attempt, at, duration_ms, status, error, reply)
SELECT workspace, id, completed.attempts, outcome.at, outcome.ms, outcome.status, outcome.error,
    outcome.reply
FROM completed JOIN outcome USING (workspace, id)
RETURNING workspace, delivery
"""

_RELEASE = """
UPDATE ledger.delivery SET state = 'waiting', worker = NULL, leased_until = NULL
FROM unnest(%s::integer[], %s::uuid[], %s::bigint[]) AS lease (workspace, id, fence)
WHERE delivery.workspace = lease.workspace AND delivery.id = lease.id
    AND delivery.fence = lease.fence AND delivery.state = 'sending'
"""

QueueKey = tuple[int, str]
"""Identifies a queue: a workspace, and an endpoint's id or `outbox.COMMAND_QUEUE`."""

DeliveryKey = tuple[int, UUID]
"""Identifies a delivery: a workspace, and the id within it."""


class LeasedDelivery(NamedTuple):
    """A delivery that is leased to a worker."""

    workspace: int
    id: UUID
    rule: str
    version: int
    profile_stream: UUID | None
    queue: str
    action: bytes
    context: bytes
    created_at: datetime
    attempts: int
    step: int
    fence: int

    @property
    def key(self) -> DeliveryKey:
        """The workspace and the delivery's id."""
        return self.workspace, self.id

    @property
    def queue_key(self) -> QueueKey:
        """The queue that the delivery waits in."""
        return self.workspace, self.queue


class Attempt(NamedTuple):
    """One attempt, and the delivery's state and retry step after it."""

    delivery: LeasedDelivery
    state: DeliveryState
    step: int
    due_at: datetime | None
    reason: str | None
    at: datetime
    seconds: float
    status: int | None = None
    error: str | None = None
    reply: bytes | None = None


def release_expired(connection: Connection[Any], now: datetime) -> int:
    """Makes deliveries with an expired lease available again; returns how many."""
    return connection.execute(_RELEASE_EXPIRED, (now,)).rowcount


def due_queues(connection: Connection[Any], worker: UUID, now: datetime) -> Sequence[QueueKey]:
    """Returns the queues with due deliveries that this worker may acquire.

    A queue belongs to one worker as long as that worker has leases in it, so the concurrency limit of
    an endpoint needs no coordination between workers.
    """
    return connection.execute(_DUE_QUEUES, {"worker": worker, "now": now}).fetchall()


def acquire(
    connection: Connection[Any],
    worker: UUID,
    now: datetime,
    capacity: Callable[[Sequence[QueueKey]], Mapping[QueueKey, int]],
) -> Sequence[LeasedDelivery]:
    """Leases due deliveries to a worker, longest due first.

    ``capacity`` receives the due queues and returns how many deliveries to take from each.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ACQUIRE_LOCK,))
        capacities = capacity(due_queues(connection, worker, now))
        if not capacities:
            return []
        params = {
            "worker": worker,
            "now": now,
            "until": now + LEASE_DURATION,
            "workspaces": [workspace for workspace, _ in capacities],
            "lanes": [queue for _, queue in capacities],
            "capacities": list(capacities.values()),
        }
        return [LeasedDelivery(*row) for row in connection.execute(_ACQUIRE, params).fetchall()]


def complete(connection: Connection[Any], attempts: Sequence[Attempt]) -> set[DeliveryKey]:
    """Stores attempts; returns the deliveries whose lease was still held, refuses the others."""
    ordered = sorted(attempts, key=lambda attempt: attempt.delivery.key)
    rows = [_attempt_row(attempt) for attempt in ordered]
    columns = list(map(list, zip(*rows, strict=True)))
    return set(connection.execute(_COMPLETE, columns).fetchall()) if rows else set()


def release(connection: Connection[Any], deliveries: Sequence[LeasedDelivery]) -> None:
    """Gives up the leases of deliveries that were not attempted."""
    if deliveries:
        ordered = sorted(deliveries, key=lambda delivery: delivery.key)
        rows = [(*delivery.key, delivery.fence) for delivery in ordered]
        connection.execute(_RELEASE, list(map(list, zip(*rows, strict=True))))


def _attempt_row(attempt: Attempt) -> tuple[Any, ...]:
    reason, error = (
        text and sanitise.storable_text(text) for text in (attempt.reason, attempt.error)
    )
    return (
        *attempt.delivery.key,
        attempt.delivery.fence,
        attempt.state,
        attempt.step,
        attempt.due_at,
        reason,
        attempt.at,
        round(attempt.seconds * 1_000),
        attempt.status,
        error,
        attempt.reply,
    )
