"""Brings receipts from the writer's threads back to the event loop: one wake-up a flush, not a request."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future

from application.ledger.append.prepared import Receipt


class ReceiptWaiter:
    """What the requests of one event loop wait on."""

    def __init__(self) -> None:
        self._completed: deque[tuple[asyncio.Future[Receipt], Future[Receipt]]] = deque()
        self._wake_scheduled = False

    async def wait(self, future: Future[Receipt]) -> Receipt:
        """Return the receipt once the flush is durable, or raise what it failed with."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Receipt] = loop.create_future()

        def done(future: Future[Receipt]) -> None:
            self._completed.append((waiter, future))
            if not self._wake_scheduled:
                self._wake_scheduled = True
                loop.call_soon_threadsafe(self._deliver)

        future.add_done_callback(done)
        return await waiter

    def _deliver(self) -> None:
        self._wake_scheduled = False
        while self._completed:
            waiter, future = self._completed.popleft()
            if waiter.cancelled():
                continue
            error = future.exception()
            if error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(future.result())
