"""How many events are taken in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

BATCH_SIZE = 4_000
"""Events of a batch: large enough for COPY to pay, small enough to be seen soon.

With twice as many at all times, whoever fell behind for a moment stayed so for longer: membership was visible
after 220-730 ms (p99, four runs) instead of 160-250 (measured, in turns).
"""

MAX_BATCH_SIZE = 4 * BATCH_SIZE
"""Events of a batch while much is left and they are taken quickly: a stream's rows are then written once
for more of its events."""

BACKLOG_DIVISOR = 2
"""A batch that is larger than others has at most one in so many of the events that are left: whoever waits
for the last of them waits for longer already."""

TARGET_SECONDS = 2.0
"""An erasure waits for the batch that is under way."""


class AdaptiveBatchSize:
    """How many events are taken at once: more while many are left, and that is quickly done."""

    def __init__(self) -> None:
        self._size = BATCH_SIZE

    @contextmanager
    def limit(self, events_left: int) -> Iterator[int]:
        """Give how many to take at most inside, of so many that are left."""
        size = max(BATCH_SIZE, min(self._size, events_left // BACKLOG_DIVISOR))
        began = monotonic()
        yield size
        if size == self._size:
            quick = monotonic() - began < TARGET_SECONDS
            self._size = min(2 * size, MAX_BATCH_SIZE) if quick else max(size // 2, BATCH_SIZE)
