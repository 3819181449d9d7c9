"""Queues of one delivery worker: one for each endpoint, and one for all ledger commands."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from application.deliveries.addresses import AddressGuard
from application.deliveries.outcome import AttemptOutcome, EndpointHealth
from application.deliveries.webhooks import TOTAL_SECONDS, EndpointClient
from application.ledger.tables.endpoints import PARK_AFTER_FAILURES, EndpointRow
from application.ledger.tables.leases import LeasedDelivery, QueueKey
from application.ledger.tables.outbox import COMMAND_QUEUE

COMMAND_CONCURRENCY, DEFAULT_CONCURRENCY = 16, 4
"""Concurrent deliveries of the command queue, and of a queue whose endpoint is not known yet."""

FAST_RESPONSE_SECONDS, PREFETCH_FACTOR = 0.25, 32
"""An endpoint that answers within the former gets that many times its concurrency leased ahead.

With a factor of 8, the 32 deliveries of one acquisition were fewer than came at 500 a second, and the last
one waited 10 s.
"""

MIN_REMAINING_LEASE = timedelta(seconds=TOTAL_SECONDS + 5)
"""Minimum time left of a lease when a delivery is started under it."""

IDLE_TIMEOUT = timedelta(seconds=60)
"""Idle time after which a queue and its connections are closed."""


@dataclass
class EndpointQueue:
    """Leased deliveries of one endpoint, and the health that its recent attempts showed."""

    is_command_queue: bool
    used_at: datetime
    endpoint: EndpointRow | None = None
    client: EndpointClient | None = None
    pending: deque[tuple[LeasedDelivery, datetime]] = field(default_factory=deque)
    """Deliveries that are not started, each with the end of its lease."""

    running: int = 0
    """Tasks that drain this queue."""

    in_flight: int = 0
    """Deliveries that are leased and neither completed nor released, pending ones included."""

    failures: int = 0
    """Consecutive failures of the endpoint."""

    is_fast: bool = False
    """Whether the latest attempt succeeded within `FAST_RESPONSE_SECONDS`."""

    @property
    def concurrency(self) -> int:
        """Maximum number of concurrent deliveries; a parked endpoint is probed with a single one."""
        if self.is_command_queue:
            return COMMAND_CONCURRENCY
        if self.endpoint is None:
            return DEFAULT_CONCURRENCY
        return 1 if self.is_parked else self.endpoint.concurrency

    @property
    def is_parked(self) -> bool:
        """Whether the endpoint failed too often in a row to get concurrent deliveries."""
        return self.failures >= PARK_AFTER_FAILURES

    @property
    def capacity(self) -> int:
        """How many more deliveries may be leased; may be negative."""
        ahead = (
            PREFETCH_FACTOR if (self.is_fast or self.is_command_queue) and not self.is_parked else 1
        )
        return self.concurrency * ahead - self.in_flight

    def record_result(self, outcome: AttemptOutcome) -> None:
        """Updates failure count and speed; ignores outcomes that do not concern the endpoint."""
        if outcome.endpoint_health is EndpointHealth.NOT_AFFECTED:
            return
        healthy = outcome.endpoint_health is EndpointHealth.HEALTHY
        self.failures = 0 if healthy else self.failures + 1
        self.is_fast = healthy and outcome.attempt.seconds < FAST_RESPONSE_SECONDS


class EndpointQueues:
    """All queues of one worker.  Belongs to one event loop, and never waits for the database."""

    def __init__(
        self,
        execute: Callable[[EndpointQueue, LeasedDelivery], Awaitable[AttemptOutcome]],
        guard: AddressGuard,
        tls: ssl.SSLContext | None,
        now: Callable[[], datetime],
    ) -> None:
        self._execute, self._guard, self._tls, self._now = execute, guard, tls, now
        self._queues: dict[QueueKey, EndpointQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired_clients: list[tuple[EndpointClient, datetime]] = []
        self._activity = asyncio.Event()
        self.outcomes: list[AttemptOutcome] = []
        """Outcomes that are not stored yet."""

        self.to_release: list[LeasedDelivery] = []
        """Leased deliveries that will not be started here."""

    @property
    def in_flight(self) -> int:
        """How many deliveries are leased and neither completed nor released."""
        return sum(queue.in_flight for queue in self._queues.values())

    def capacity(self, keys: Sequence[QueueKey]) -> Mapping[QueueKey, int]:
        """Returns how many more deliveries each queue may get; full queues are left out."""
        capacities = {
            key: self._queues[key].capacity if key in self._queues else DEFAULT_CONCURRENCY
            for key in keys
        }
        return {key: capacity for key, capacity in capacities.items() if capacity > 0}

    def enqueue(
        self,
        deliveries: Sequence[LeasedDelivery],
        endpoints: Mapping[QueueKey, EndpointRow],
        leased_until: datetime,
    ) -> None:
        """Starts leased deliveries, as far as each endpoint's concurrency permits."""
        touched: dict[QueueKey, EndpointQueue] = {}
        for delivery in deliveries:
            key = delivery.queue_key
            queue = touched[key] = self._queue_for(key, endpoints.get(key))
            queue.pending.append((delivery, leased_until))
            queue.in_flight += 1
        for queue in touched.values():
            self._start_tasks(queue)

    async def wait_for_activity(self, timeout_seconds: float) -> None:
        """Waits until a delivery was attempted, at most ``timeout_seconds``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._activity.wait()
        self._activity.clear()

    def mark_completed(self, outcomes: Sequence[AttemptOutcome]) -> None:
        """Drops outcomes that were stored: the first ones of `outcomes`."""
        self.outcomes = self.outcomes[len(outcomes) :]
        for outcome in outcomes:
            self._queues[outcome.attempt.delivery.queue_key].in_flight -= 1

    def mark_released(self, deliveries: Sequence[LeasedDelivery]) -> None:
        """Drops deliveries that were released: the first ones of `to_release`."""
        self.to_release = self.to_release[len(deliveries) :]
        for delivery in deliveries:
            self._queues[delivery.queue_key].in_flight -= 1

    async def close_idle(self, now: datetime) -> None:
        """Closes idle queues, and connections to endpoints whose URL or concurrency changed."""
        for client, retired_at in list(self._retired_clients):
            if now - retired_at > MIN_REMAINING_LEASE:
                self._retired_clients.remove((client, retired_at))
                await client.close()
        for key, queue in list(self._queues.items()):
            if not queue.in_flight and now - queue.used_at > IDLE_TIMEOUT:
                del self._queues[key]
                if queue.client is not None:
                    await queue.client.close()

    async def shut_down(self, grace_seconds: float) -> None:
        """Starts nothing more, lets running deliveries finish, then closes all connections.

        Deliveries that still run after ``grace_seconds`` are cancelled.
        """
        for queue in self._queues.values():
            self._drop_pending(queue)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for queue in self._queues.values():
            self._retire_client(queue)
        for client, _ in self._retired_clients:
            await client.close()

    def _queue_for(self, key: QueueKey, endpoint: EndpointRow | None) -> EndpointQueue:
        queue = self._queues.get(key)
        if queue is None:
            failures = 0 if endpoint is None else endpoint.failures
            queue = EndpointQueue(key[1] == COMMAND_QUEUE, self._now(), failures=failures)
            self._queues[key] = queue
        queue.used_at = self._now()
        if endpoint != queue.endpoint:
            previous, queue.endpoint = queue.endpoint, endpoint
            if (
                endpoint is None
                or previous is None
                or previous.connection_key != endpoint.connection_key
            ):
                self._retire_client(queue)  # running deliveries keep the previous connections
                if endpoint is not None:
                    url, concurrency = endpoint.url, endpoint.concurrency
                    queue.client = EndpointClient(url, concurrency, self._guard, self._tls)
        return queue

    def _retire_client(self, queue: EndpointQueue) -> None:
        if queue.client is not None:
            self._retired_clients.append((queue.client, self._now()))
            queue.client = None

    def _start_tasks(self, queue: EndpointQueue) -> None:
        while queue.running < min(queue.concurrency, queue.running + len(queue.pending)):
            queue.running += 1
            task = asyncio.create_task(self._drain(queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drain(self, queue: EndpointQueue) -> None:
        try:
            while queue.pending:
                delivery, leased_until = queue.pending.popleft()
                if leased_until - self._now() < MIN_REMAINING_LEASE:
                    self.to_release.append(delivery)
                    continue
                outcome = await self._execute(queue, delivery)
                queue.record_result(outcome)
                self.outcomes.append(outcome)
                self._activity.set()
                if queue.is_parked or outcome.endpoint_gone:
                    self._drop_pending(queue)
        finally:
            queue.running -= 1

    def _drop_pending(self, queue: EndpointQueue) -> None:
        self.to_release += [delivery for delivery, _ in queue.pending]
        queue.pending.clear()
