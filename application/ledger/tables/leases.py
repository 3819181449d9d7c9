"""Deliveries on their way: leased to one worker at a time, finished by whoever holds the lease.

A lease is a fence: a number that grows each time that a delivery is handed out.  Whoever comes back with
an older one, because the lease lapsed meanwhile, is refused.
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
"""After so long others may take a delivery that was handed out."""

_ACQUIRE_LOCK = (
    0x64656C69  # any number of our own: who hands out deliveries waits here for their turn
)

_LAPSE = """
UPDATE ledger.delivery SET state = 'waiting', worker = NULL, leased_until = NULL
WHERE state = 'sending' AND leased_until < %s
"""

# Goes from lane to lane by the index, whatever waits in each.
_LANES = """
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
LEFT JOIN ledger.endpoint AS it ON it.workspace = lanes.workspace AND it.id = lanes.lane
WHERE it.disabled_at IS NULL AND (it.parked_until IS NULL OR it.parked_until <= %(now)s)
    AND EXISTS (
        SELECT FROM ledger.delivery AS due
        WHERE due.workspace = lanes.workspace AND due.lane = lanes.lane
            AND due.state = 'waiting' AND due.due_at <= %(now)s
    )
    AND NOT EXISTS (
        SELECT FROM ledger.delivery AS held
        WHERE held.workspace = lanes.workspace AND held.lane = lanes.lane
            AND held.state = 'sending' AND held.worker <> %(worker)s
    )
"""

# Materialized: planned as a part of the update, the limit would be taken again for each of its rows.
_LEASE = """
WITH taken AS MATERIALIZED (
    SELECT due.workspace, due.id
    FROM unnest(%(workspaces)s::integer[], %(lanes)s::text[], %(room)s::integer[])
        AS asked (workspace, lane, room), LATERAL (
        SELECT workspace, id FROM ledger.delivery AS it
        WHERE it.workspace = asked.workspace AND it.lane = asked.lane
            AND it.state = 'waiting' AND it.due_at <= %(now)s
        ORDER BY it.due_at LIMIT asked.room
        FOR UPDATE SKIP LOCKED
    ) AS due
)
UPDATE ledger.delivery AS it
SET state = 'sending', fence = it.fence + 1, worker = %(worker)s, leased_until = %(until)s
FROM taken WHERE it.workspace = taken.workspace AND it.id = taken.id
RETURNING it.workspace, it.id, it.rule, it.version, it.person, it.lane, it.action, it.context,
    it.created_at, it.attempts, it.step, it.fence
"""

_FINISH = """
WITH told AS (
    SELECT * FROM unnest(
        %s::integer[], %s::uuid[], %s::bigint[], %s::text[], %s::integer[], %s::timestamptz[],
        %s::text[], %s::timestamptz[], %s::integer[], %s::integer[], %s::text[], %s::bytea[]
    ) AS told (workspace, id, fence, state, step, due_at, reason, at, ms, status, error, reply)
), done AS (
    UPDATE ledger.delivery AS it
    SET state = told.state, step = told.step, attempts = it.attempts + 1, reason = told.reason,
        due_at = coalesce(told.due_at, it.due_at), worker = NULL, leased_until = NULL,
        finished_at = CASE WHEN told.state <> 'waiting' THEN told.at END
    FROM told
    WHERE it.workspace = told.workspace AND it.id = told.id
        AND it.fence = told.fence AND it.state = 'sending'
    RETURNING it.workspace, it.id, it.attempts
)
INSERT INTO ledger.delivery_attempt
    (workspace, delivery, attempt, at, duration_ms, status, error, reply)
SELECT workspace, id, done.attempts, told.at, told.ms, told.status, told.error, told.reply
FROM done JOIN told USING (workspace, id)
RETURNING workspace, delivery
"""

_GIVE_BACK = """
UPDATE ledger.delivery AS it SET state = 'waiting', worker = NULL, leased_until = NULL
FROM unnest(%s::integer[], %s::uuid[], %s::bigint[]) AS held (workspace, id, fence)
WHERE it.workspace = held.workspace AND it.id = held.id
    AND it.fence = held.fence AND it.state = 'sending'
"""

QueueKey = tuple[int, str]
"""A workspace, and what deliveries queue for in it: see `application.ledger.tables.outbox`."""

DeliveryKey = tuple[int, UUID]
"""Identifies a delivery: a workspace, and the id within it."""


class LeasedDelivery(NamedTuple):
    """A delivery that was handed out."""

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
    """One attempt, and what the delivery is from then on."""

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
    """Let deliveries whose lease has lapsed be handed out again; return how many there were."""
    return connection.execute(_LAPSE, (now,)).rowcount


def due_queues(connection: Connection[Any], worker: UUID, now: datetime) -> Sequence[QueueKey]:
    """Return where something is due that this worker may take.

    A lane is one worker's as long as that one has deliveries of it, so that the limits of an endpoint
    need no agreement between workers.
    """
    return connection.execute(_LANES, {"worker": worker, "now": now}).fetchall()


def acquire(
    connection: Connection[Any],
    worker: UUID,
    now: datetime,
    capacity: Callable[[Sequence[QueueKey]], Mapping[QueueKey, int]],
) -> Sequence[LeasedDelivery]:
    """Hand out what is due, the longest due first; ``room`` says how many of which lanes."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ACQUIRE_LOCK,))
        wanted = capacity(due_queues(connection, worker, now))
        if not wanted:
            return []
        asked = {
            "worker": worker,
            "now": now,
            "until": now + LEASE_DURATION,
            "workspaces": [workspace for workspace, _ in wanted],
            "lanes": [lane for _, lane in wanted],
            "room": list(wanted.values()),
        }
        return [LeasedDelivery(*row) for row in connection.execute(_LEASE, asked).fetchall()]


def complete(connection: Connection[Any], attempts: Sequence[Attempt]) -> set[DeliveryKey]:
    """Write what became of deliveries; return those whose lease was still held, the others are refused."""
    rows = [_attempt_row(it) for it in sorted(attempts, key=lambda it: it.delivery.key)]
    columns = list(map(list, zip(*rows, strict=True)))
    return set(connection.execute(_FINISH, columns).fetchall()) if rows else set()


def release(connection: Connection[Any], deliveries: Sequence[LeasedDelivery]) -> None:
    """Let others have deliveries that were handed out and not begun."""
    if deliveries:
        rows = [(it.workspace, it.id, it.fence) for it in sorted(deliveries, key=lambda it: it.key)]
        connection.execute(_GIVE_BACK, list(map(list, zip(*rows, strict=True))))


def _attempt_row(it: Attempt) -> tuple[Any, ...]:
    reason, error = (text and sanitise.storable_text(text) for text in (it.reason, it.error))
    ms = round(it.seconds * 1_000)
    of = it.delivery
    told = (it.state, it.step, it.due_at, reason, it.at, ms, it.status, error, it.reply)
    return (of.workspace, of.id, of.fence, *told)
