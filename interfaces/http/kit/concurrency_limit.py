"""Limits concurrent queries: a fixed number of threads, a bounded queue, then an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from domain.core.errors import Overloaded
from interfaces.query_connections import MAX_CONCURRENT_QUERIES

MAX_WAITING = 256
"""Maximum queued queries."""

Result = TypeVar("Result")


class ConcurrencyLimit:
    """Runs queries in as many threads as there are query connections; the others queue."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(MAX_CONCURRENT_QUERIES)

    async def run(self, work: Callable[..., Result], *args: Any) -> Result:
        """Run ``work`` in a thread once one is free.  Raises Overloaded if the queue is full."""
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise Overloaded("too many queries are queued; retry shortly", waiting=MAX_WAITING)
        return await to_thread.run_sync(work, *args, limiter=self._limiter)
