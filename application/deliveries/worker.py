"""The loop that does what is due: hands deliveries out to itself, does them, writes down what came of it.

Everything waits on its own: an endpoint that does not answer holds up its own few deliveries, and no
transaction is open while anything is sent.  What was sent and not yet written down when a worker dies is
sent again once its lease has lapsed, under the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event as Stop

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
"""Between two looks for what is due: while something is, and while nothing is."""

RETRY_SECONDS = 1.0
"""After the database did not answer."""

SHUTDOWN_GRACE_SECONDS = 3.0
"""How long what is under way may take once the service stops; it would be sent again, not lost."""


class DeliveryWorker:
    """One worker.  Several may run, in one process or many: an endpoint is one's at a time."""

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

    def run(self, stop: Stop) -> None:
        """Do what is due until told to stop."""
        while not stop.is_set():
            try:
                uvloop.run(self._run_loop(stop, until_idle=False))
            except Exception:  # nothing is lost: leases lapse
                log.exception("deliveries stopped; they go on shortly")
                stop.wait(RETRY_SECONDS)

    def run_until_idle(self) -> None:
        """Do what is due by now, and no more."""
        uvloop.run(self._run_loop(Stop(), until_idle=True))

    async def _run_loop(self, stop: Stop, *, until_idle: bool) -> None:
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
                    log.warning("deliveries wait for the database", error=str(error))
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
