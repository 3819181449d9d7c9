"""Database side of a delivery worker: acquires, completes and releases delivery leases."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple, Self, TypeVar
from uuid import uuid4

import structlog

from application.deliveries.endpoint_queues import EndpointQueues
from application.deliveries.outcome import AttemptOutcome, EndpointHealth
from application.ledger.store import LedgerDatastore
from application.ledger.tables import endpoints, leases
from application.ledger.tables.endpoints import EndpointRow
from application.ledger.tables.leases import (
    LEASE_DURATION,
    DeliveryKey,
    LeasedDelivery,
    QueueKey,
)

log = structlog.get_logger(__name__)

CLEANUP_INTERVAL = timedelta(seconds=1)
"""Time between two releases of expired leases; idle connections are closed with them."""

T = TypeVar("T")


class AcquiredBatch(NamedTuple):
    """Deliveries that were leased together."""

    deliveries: Sequence[LeasedDelivery]
    endpoints: Mapping[QueueKey, EndpointRow]
    leased_until: datetime


class LeaseManager:
    """Acquires, completes and releases the delivery leases of one worker.

    Runs every query on one background thread, so the event loop never blocks.
    """

    def __init__(self, store: LedgerDatastore, now: Callable[[], datetime]) -> None:
        self._store, self._now, self._worker_id = store, now, uuid4()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="delivery-leases")
        self._cleaned_up_at: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def acquire(self, queues: EndpointQueues) -> bool:
        """Leases due deliveries and enqueues them; returns whether there were any."""
        now = self._now()
        clean_up = (
            self._cleaned_up_at is None
            or not self._cleaned_up_at <= now < self._cleaned_up_at + CLEANUP_INTERVAL
        )
        batch = await self._run_in_thread(self._acquire, queues.capacity, now, clean_up)
        if clean_up:
            self._cleaned_up_at = now
            await queues.close_idle(now)
        if batch is not None:
            queues.enqueue(batch.deliveries, batch.endpoints, batch.leased_until)
        return batch is not None

    async def complete(self, queues: EndpointQueues) -> None:
        """Stores the outcomes of attempts and the health of endpoints; releases dropped deliveries."""
        if queues.to_release:
            await self.release(queues)
        outcomes = list(queues.outcomes)
        if outcomes:
            completed = await self._run_in_thread(self._complete, outcomes)
            queues.mark_completed(outcomes)
            for outcome in outcomes:
                delivery = outcome.attempt.delivery
                if delivery.key not in completed:
                    log.warning("delivery_lease_lost", id=str(delivery.id))

    async def release(self, queues: EndpointQueues) -> None:
        """Releases the leases of deliveries that were not started; other workers may take them."""
        deliveries = list(queues.to_release)
        await self._run_in_thread(self._release, deliveries)
        queues.mark_released(deliveries)

    async def _run_in_thread(self, query: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, query, *args)

    def _acquire(
        self,
        capacity: Callable[[Sequence[QueueKey]], Mapping[QueueKey, int]],
        now: datetime,
        clean_up: bool,
    ) -> AcquiredBatch | None:
        with self._store.connection() as connection:
            if clean_up:
                leases.release_expired(connection, now)
            if not capacity(leases.due_queues(connection, self._worker_id, now)):
                return None
            leased = leases.acquire(connection, self._worker_id, now, capacity)
            endpoints_by_queue = endpoints.find_many(
                connection, {delivery.queue_key for delivery in leased}
            )
        return AcquiredBatch(leased, endpoints_by_queue, now + LEASE_DURATION) if leased else None

    def _complete(self, outcomes: Sequence[AttemptOutcome]) -> set[DeliveryKey]:
        """Stores the outcomes; returns the deliveries whose lease was still valid."""
        with self._store.connection() as connection, connection.transaction():
            completed = leases.complete(connection, [outcome.attempt for outcome in outcomes])
            now = self._now()
            for key, endpoint_outcomes in sorted(_by_endpoint(outcomes).items()):
                if any(o.endpoint_health is EndpointHealth.HEALTHY for o in endpoint_outcomes):
                    endpoints.record_success(connection, key)
                else:
                    endpoints.record_failures(connection, key, len(endpoint_outcomes), now)
                if any(outcome.endpoint_gone for outcome in endpoint_outcomes):
                    reason = "the endpoint answered 410 Gone"
                    endpoints.disable(connection, key, reason, now)
        return completed

    def _release(self, deliveries: Sequence[LeasedDelivery]) -> None:
        with self._store.connection() as connection:
            leases.release(connection, deliveries)


def _by_endpoint(outcomes: Sequence[AttemptOutcome]) -> Mapping[QueueKey, Sequence[AttemptOutcome]]:
    by_endpoint: dict[QueueKey, list[AttemptOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.endpoint_health is not EndpointHealth.NOT_AFFECTED:
            by_endpoint[outcome.attempt.delivery.queue_key].append(outcome)
    return by_endpoint
