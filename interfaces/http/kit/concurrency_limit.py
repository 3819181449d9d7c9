"""Questions take turns: some at a time in threads, some in line, and one more is turned away at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from domain.core.errors import Overloaded
from interfaces.query_connections import MAX_CONCURRENT_QUERIES

MAX_WAITING = 256
"""Questions that may wait for their turn."""

Result = TypeVar("Result")


class ConcurrencyLimit:
    """As many threads as there are connections to answer from, and the line before them."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(MAX_CONCURRENT_QUERIES)

    async def run(self, work: Callable[..., Result], *args: Any) -> Result:
        """Run it in a thread when its turn comes.  Raises Overloaded if too many wait."""
        if self._limiter.statistics().tasks_waiting >= MAX_WAITING:
            raise Overloaded(
                "too many questions are waiting; ask again shortly", waiting=MAX_WAITING
            )
        return await to_thread.run_sync(work, *args, limiter=self._limiter)
