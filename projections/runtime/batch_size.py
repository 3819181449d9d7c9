"""Number of events that are applied in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

BATCH_SIZE = 4_000
"""Events of a batch: enough for COPY to pay off, and few enough to be visible soon.

With twice as many at all times, a read model that fell behind for a moment stayed behind for longer: membership
was visible after 220-730 ms (p99, four runs) instead of 160-250 (measured, in turns).
"""

MAX_BATCH_SIZE = 4 * BATCH_SIZE
"""Events of a batch while many are left and batches are quick: a stream's rows are then written once for
more of its events."""

BACKLOG_DIVISOR = 2
"""A larger batch has at most this fraction (one in two) of the events left, so that the last of them are not
delayed further."""

TARGET_SECONDS = 2.0
"""Seconds that a batch may take before batches get smaller: an erasure waits for the current batch."""

SHORT_SECONDS = 0.25
"""Seconds that a batch may take while other workspaces wait for it."""

MIN_SHORT_SIZE = 50
"""Events that are always thought to take no longer: of fewer, one slow moment would tell nothing."""

MIN_SHARED_SIZE = 500
"""Fewer events are not worth the statements of a batch, even if others wait for it."""


class AdaptiveBatchSize:
    """Adaptive batch size: larger while many events are left and batches are quick."""

    def __init__(self) -> None:
        self._size, self._short_size = BATCH_SIZE, MIN_SHARED_SIZE

    def is_short(self, events_left: int) -> bool:
        """Returns whether a batch of so many events takes about `SHORT_SECONDS` at most."""
        return events_left <= self._short_size

    @contextmanager
    def limit(self, events_left: int, *, shared: bool = False) -> Iterator[int]:
        """Yields the batch size for the number of events left; the duration of the block adapts it.

        ``shared``: others wait meanwhile, so the batch is short.
        """
        size = max(BATCH_SIZE, min(self._size, events_left // BACKLOG_DIVISOR))
        if shared:
            size = min(size, max(self._short_size, MIN_SHARED_SIZE))
        started_at = monotonic()
        yield size
        seconds = monotonic() - started_at
        if size == self._size:
            quick = seconds < TARGET_SECONDS
            self._size = min(2 * size, MAX_BATCH_SIZE) if quick else max(size // 2, BATCH_SIZE)
        self._adapt_short_size(min(size, events_left), seconds)

    def _adapt_short_size(self, events: int, seconds: float) -> None:
        if seconds > SHORT_SECONDS:
            self._short_size = max(MIN_SHORT_SIZE, min(self._short_size, events // 2))
        elif seconds < SHORT_SECONDS / 2:
            self._short_size = max(self._short_size, min(2 * events, BATCH_SIZE))
