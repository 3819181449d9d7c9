"""Delivers receipts from writer threads to the event loop, one wake-up per flush."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future

from application.ledger.append.prepared import Receipt


class ReceiptWaiter:
    """Waits for receipts on behalf of the requests of one event loop.

    A flush completes many requests; waking the loop once for all of them is cheaper than once each.
    """

    def __init__(self) -> None:
        self._completed: deque[tuple[asyncio.Future[Receipt], Future[Receipt]]] = deque()
        self._wake_scheduled = False

    async def wait(self, future: Future[Receipt]) -> Receipt:
        """Return the receipt once its flush is durable.  Raises the flush's error."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Receipt] = loop.create_future()

        def on_done(future: Future[Receipt]) -> None:
            self._completed.append((waiter, future))
            if not self._wake_scheduled:
                self._wake_scheduled = True
                loop.call_soon_threadsafe(self._deliver)

        future.add_done_callback(on_done)
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
