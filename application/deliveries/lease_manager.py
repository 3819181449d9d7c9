"""Where deliveries are handed out, and what became of them is written down: all that asks the database."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self, TypeVar
from uuid import uuid4

import structlog

from application.deliveries.endpoint_queues import EndpointQueues
from application.deliveries.outcome import AttemptOutcome
from application.ledger.store import LedgerDatastore
from application.ledger.tables import endpoints, leases
from application.ledger.tables.endpoints import EndpointRow
from application.ledger.tables.leases import LEASE_DURATION, LeasedDelivery, QueueKey

log = structlog.get_logger(__name__)

CLEANUP_INTERVAL = timedelta(seconds=1)
"""Between two looks for leases that lapsed, and for connections that nobody uses."""

T = TypeVar("T")


class AcquiredBatch(NamedTuple):
    """What was handed out in one look."""

    deliveries: Sequence[LeasedDelivery]
    endpoints: Mapping[QueueKey, EndpointRow]
    leased_until: datetime


class LeaseManager:
    """Hands deliveries to one worker.  Asks the database in a thread, one question at a time."""

    def __init__(self, store: LedgerDatastore, now: Callable[[], datetime]) -> None:
        self._store, self._now, self._worker_id = store, now, uuid4()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="delivery-desk")
        self._cleaned_up_at: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def acquire(self, queues: EndpointQueues) -> bool:
        """Put what is due into its lanes; say whether there was anything."""
        now = self._now()
        tidy = (
            self._cleaned_up_at is None
            or not self._cleaned_up_at <= now < self._cleaned_up_at + CLEANUP_INTERVAL
        )
        handed = await self._run_in_thread(self._acquire, queues.capacity, now, tidy)
        if tidy:
            self._cleaned_up_at = now
            await queues.close_idle(now)
        if handed is not None:
            queues.enqueue(handed.deliveries, handed.endpoints, handed.leased_until)
        return handed is not None

    async def complete(self, queues: EndpointQueues) -> None:
        """Write what was done, and what it says of the endpoints; give back what is not to be done."""
        if queues.to_release:
            await self.release(queues)
        done = list(queues.outcomes)
        if done:
            held = await self._run_in_thread(self._complete, done)
            queues.mark_completed(done)
            for it in done:
                if it.attempt.delivery[:2] not in held:
                    log.warning("another worker has the delivery", id=str(it.attempt.delivery.id))

    async def release(self, queues: EndpointQueues) -> None:
        """Let others have what was handed out and not begun."""
        unwanted = list(queues.to_release)
        await self._run_in_thread(self._release, unwanted)
        queues.mark_released(unwanted)

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
                connection, {(it.workspace, it.queue) for it in leased}
            )
        return AcquiredBatch(leased, endpoints_by_queue, now + LEASE_DURATION) if leased else None

    def _complete(self, outcomes: Sequence[AttemptOutcome]) -> set[tuple[int, object]]:
        with self._store.connection() as connection, connection.transaction():
            completed = leases.complete(connection, [it.attempt for it in outcomes])
            now = self._now()
            for key, endpoint_outcomes in sorted(_by_endpoint(outcomes).items()):
                if any(it.endpoint_health for it in endpoint_outcomes):
                    endpoints.record_success(connection, key)
                else:
                    endpoints.record_failures(connection, key, len(endpoint_outcomes), now)
                if any(it.endpoint_gone for it in endpoint_outcomes):
                    reason = "it answered 410: it is gone, and asks to be sent nothing"
                    endpoints.disable(connection, key, reason, now)
        return set(completed)

    def _release(self, deliveries: Sequence[LeasedDelivery]) -> None:
        with self._store.connection() as connection:
            leases.release(connection, deliveries)


def _by_endpoint(outcomes: Sequence[AttemptOutcome]) -> Mapping[QueueKey, Sequence[AttemptOutcome]]:
    by_endpoint: dict[QueueKey, list[AttemptOutcome]] = defaultdict(list)
    for it in outcomes:
        if it.endpoint_health is not None:
            by_endpoint[it.attempt.delivery.workspace, it.attempt.delivery.queue].append(it)
    return by_endpoint
