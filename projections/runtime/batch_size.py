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


SHARED_SECONDS = 0.25
"""Seconds that a batch may take while several workspaces are active: the others wait for it."""

MIN_SHARED_SIZE = 500
"""Fewer events are not worth the statements of a batch."""


class AdaptiveBatchSize:
    """Adaptive batch size: larger while many events are left and batches are quick."""

    def __init__(self) -> None:
        self._size, self._shared_size = BATCH_SIZE, BATCH_SIZE

    @contextmanager
    def limit(self, events_left: int, *, shared: bool = False) -> Iterator[int]:
        """Yields the batch size for the number of events left; the duration of the block adapts it.

        ``shared``: other workspaces wait meanwhile, so the batch takes at most about `SHARED_SECONDS`.
        """
        size = max(BATCH_SIZE, min(self._size, events_left // BACKLOG_DIVISOR))
        if shared:
            size = min(size, self._shared_size)
        started_at = monotonic()
        yield size
        seconds = monotonic() - started_at
        if size == self._size:
            quick = seconds < TARGET_SECONDS
            self._size = min(2 * size, MAX_BATCH_SIZE) if quick else max(size // 2, BATCH_SIZE)
        taken = min(size, events_left)
        if seconds > SHARED_SECONDS:
            self._shared_size = max(
                min(taken // 2, self._shared_size), min(MIN_SHARED_SIZE, BATCH_SIZE)
            )
        elif taken >= self._shared_size and seconds < SHARED_SECONDS / 2:
            self._shared_size = min(2 * self._shared_size, BATCH_SIZE)
