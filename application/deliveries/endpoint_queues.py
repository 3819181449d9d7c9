"""What one worker holds: the deliveries to each endpoint in a lane of their own, and all commands in one."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from application.deliveries.addresses import AddressGuard
from application.deliveries.outcome import AttemptOutcome
from application.deliveries.webhooks import TOTAL_SECONDS, EndpointClient
from application.ledger.tables.endpoints import PARK_AFTER_FAILURES, EndpointRow
from application.ledger.tables.leases import LeasedDelivery
from application.ledger.tables.leases import QueueKey as Key
from application.ledger.tables.outbox import COMMAND_QUEUE

COMMAND_CONCURRENCY = 16

FAST_RESPONSE_SECONDS, PREFETCH_FACTOR = 0.25, 32
"""An endpoint that answers so quickly gets that many times more handed out than is sent at once.

With 8, the 32 deliveries of a look were fewer than came at 500 a second, and the last one waited 10 s.
"""

MIN_REMAINING_LEASE = timedelta(seconds=TOTAL_SECONDS + 5)
"""What is left of a lease at least when something is sent under it."""

IDLE_TIMEOUT = timedelta(seconds=60)
"""After so long the connections to an endpoint are let go."""


@dataclass
class EndpointQueue:
    """Deliveries that were handed out, and how those before went."""

    is_command_queue: bool
    used_at: datetime
    endpoint: EndpointRow | None = None
    client: EndpointClient | None = None
    pending: deque[tuple[LeasedDelivery, datetime]] = field(default_factory=deque)
    """Each with the end of its lease."""

    running: int = 0
    in_flight: int = 0
    """Handed out and not yet written down, those in the queue included."""

    failures: int = 0
    """In a row."""

    is_fast: bool = False

    @property
    def concurrency(self) -> int:
        """How many may be under way; one alone, to see, after too many failures."""
        if self.is_command_queue:
            return COMMAND_CONCURRENCY
        if self.endpoint is None:
            return 4
        return 1 if self.is_parked else self.endpoint.concurrency

    @property
    def is_parked(self) -> bool:
        """Whether it failed too often to be sent more at once."""
        return self.failures >= PARK_AFTER_FAILURES

    @property
    def capacity(self) -> int:
        """How many more may be handed out."""
        ahead = (
            PREFETCH_FACTOR if (self.is_fast or self.is_command_queue) and not self.is_parked else 1
        )
        return self.concurrency * ahead - self.in_flight

    def record_result(self, outcome: AttemptOutcome) -> None:
        """Learn from how a delivery went."""
        if outcome.endpoint_health is None:
            return
        self.failures = 0 if outcome.endpoint_health else self.failures + 1
        self.is_fast = outcome.endpoint_health and outcome.attempt.seconds < FAST_RESPONSE_SECONDS


class EndpointQueues:
    """All lanes of one worker.  Belongs to one event loop, and never waits for a database."""

    def __init__(
        self,
        execute: Callable[[EndpointQueue, LeasedDelivery], Awaitable[AttemptOutcome]],
        guard: AddressGuard,
        tls: ssl.SSLContext | None,
        now: Callable[[], datetime],
    ) -> None:
        self._execute, self._guard, self._tls, self._now = execute, guard, tls, now
        self._queues: dict[Key, EndpointQueue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._retired_clients: list[tuple[EndpointClient, datetime]] = []
        self._activity = asyncio.Event()
        self.outcomes: list[AttemptOutcome] = []
        """What is to be written down."""

        self.to_release: list[LeasedDelivery] = []
        """What is to be given back."""

    @property
    def in_flight(self) -> int:
        """How many deliveries were handed out and are neither written down nor given back."""
        return sum(it.in_flight for it in self._queues.values())

    def capacity(self, keys: Sequence[Key]) -> Mapping[Key, int]:
        """Return how many more deliveries these lanes may have, of those that may have any."""
        rooms = {key: self._queues[key].capacity if key in self._queues else 4 for key in keys}
        return {key: room for key, room in rooms.items() if room > 0}

    def enqueue(
        self,
        deliveries: Sequence[LeasedDelivery],
        endpoints: Mapping[Key, EndpointRow],
        leased_until: datetime,
    ) -> None:
        """Begin what was handed out, under leases that end at a time."""
        touched: dict[Key, EndpointQueue] = {}
        for it in deliveries:
            key = it.workspace, it.queue
            lane = touched[key] = self._queue_for(key, endpoints.get(key))
            lane.pending.append((it, leased_until))
            lane.in_flight += 1
        for lane in touched.values():
            self._start_tasks(lane)

    async def wait_for_activity(self, timeout_seconds: float) -> None:
        """Wait until something was done, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._activity.wait()
        self._activity.clear()

    def mark_completed(self, outcomes: Sequence[AttemptOutcome]) -> None:
        """Forget what was written down."""
        self.outcomes = self.outcomes[len(outcomes) :]
        for it in outcomes:
            self._queues[it.attempt.delivery.workspace, it.attempt.delivery.queue].in_flight -= 1

    def mark_released(self, deliveries: Sequence[LeasedDelivery]) -> None:
        """Forget what was given back."""
        self.to_release = self.to_release[len(deliveries) :]
        for it in deliveries:
            self._queues[it.workspace, it.queue].in_flight -= 1

    async def close_idle(self, now: datetime) -> None:
        """Let go of lanes that are not used, and of connections to where endpoints were before."""
        for receiver, since in list(self._retired_clients):
            if now - since > MIN_REMAINING_LEASE:
                self._retired_clients.remove((receiver, since))
                await receiver.close()
        for key, lane in list(self._queues.items()):
            if not lane.in_flight and now - lane.used_at > IDLE_TIMEOUT:
                del self._queues[key]
                if lane.client is not None:
                    await lane.client.close()

    async def shut_down(self, grace_seconds: float) -> None:
        """Begin nothing more, let what is under way come to its end, for so long, and close everything."""
        for lane in self._queues.values():
            self._drop_pending(lane)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lane in self._queues.values():
            self._retire_client(lane)
        for receiver, _ in self._retired_clients:
            await receiver.close()

    def _queue_for(self, key: Key, endpoint: EndpointRow | None) -> EndpointQueue:
        queue = self._queues.get(key)
        if queue is None:
            failures = 0 if endpoint is None else endpoint.failures
            queue = EndpointQueue(key[1] == COMMAND_QUEUE, self._now(), failures=failures)
            self._queues[key] = queue
        queue.used_at = self._now()
        if endpoint != queue.endpoint:
            previous, queue.endpoint = queue.endpoint, endpoint
            if endpoint is None or previous is None or previous[:5] != endpoint[:5]:
                self._retire_client(
                    queue
                )  # what is under way to the address before comes to its end
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
        self.to_release += [it for it, _ in queue.pending]
        queue.pending.clear()
