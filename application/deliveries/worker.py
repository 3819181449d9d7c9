"""The delivery worker: leases due deliveries, executes them and stores their outcomes.

Endpoints are independent: one that does not answer delays only its own few deliveries.  No transaction is
open while anything is sent.  A delivery that was sent but not completed when a worker dies is sent again
after its lease expires, under the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event

import psycopg
import structlog
import uvloop

from application.deliveries.addresses import AddressGuard
from application.deliveries.commands import CommandRecorder
from application.deliveries.encryption import SecretCipher
from application.deliveries.endpoint_queues import EndpointQueues
from application.deliveries.executor import DeliveryExecutor
from application.deliveries.lease_manager import LeaseManager
from application.ledger.store import LedgerDatastore
from domain.core.errors import LedgerUnavailable

log = structlog.get_logger(__name__)

BUSY_POLL_SECONDS, IDLE_POLL_SECONDS = 0.02, 0.1
"""Time between two acquisitions, while deliveries are in flight and while none are."""

RETRY_SECONDS = 1.0
"""Pause after the database did not answer."""

SHUTDOWN_GRACE_SECONDS = 3.0
"""Time that running deliveries get when the service stops; after it they are sent again later."""


class DeliveryWorker:
    """One delivery worker.

    Several may run, in one process or many: an endpoint belongs to one worker at a time.
    """

    def __init__(
        self,
        store: LedgerDatastore,
        commands: CommandRecorder,
        guard: AddressGuard,
        cipher: SecretCipher,
        *,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._commands, self._now = store, commands, now
        self._guard, self._cipher, self._tls = guard, cipher, tls

    def run(self, stop: Event) -> None:
        """Executes due deliveries until ``stop`` is set."""
        while not stop.is_set():
            try:
                uvloop.run(self._run_loop(stop, until_idle=False))
            except Exception:  # nothing is lost: leases expire
                log.exception("delivery_worker_failed", retry_in_seconds=RETRY_SECONDS)
                stop.wait(RETRY_SECONDS)

    def run_until_idle(self) -> None:
        """Executes all deliveries that are due now, then returns."""
        uvloop.run(self._run_loop(Event(), until_idle=True))

    async def _run_loop(self, stop: Event, *, until_idle: bool) -> None:
        with (
            DeliveryExecutor(self._commands, self._cipher, self._now) as executor,
            LeaseManager(self._store, self._now) as lease_manager,
        ):
            queues = EndpointQueues(executor.execute, self._guard, self._tls, self._now)
            while not stop.is_set():
                try:
                    await lease_manager.complete(queues)
                    acquired = await lease_manager.acquire(queues)
                except (psycopg.Error, LedgerUnavailable) as error:
                    log.warning("deliveries_database_unavailable", error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if until_idle and not (acquired or queues.in_flight):
                    break
                await queues.wait_for_activity(
                    BUSY_POLL_SECONDS if queues.in_flight else IDLE_POLL_SECONDS
                )
            await queues.shut_down(SHUTDOWN_GRACE_SECONDS)
            await lease_manager.complete(queues)
            await lease_manager.release(queues)
