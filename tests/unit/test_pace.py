"""How many events are taken at once."""

from __future__ import annotations

import pytest

from projections.runtime import batch_size
from projections.runtime.batch_size import (
    BACKLOG_DIVISOR,
    BATCH_SIZE,
    MAX_BATCH_SIZE,
    MIN_SHARED_SIZE,
    MIN_SHORT_SIZE,
    SHORT_SECONDS,
    TARGET_SECONDS,
    AdaptiveBatchSize,
)

MUCH = BACKLOG_DIVISOR * MAX_BATCH_SIZE
SLOW = 2 * TARGET_SECONDS


@pytest.fixture
def tempo() -> AdaptiveBatchSize:
    return AdaptiveBatchSize()


@pytest.fixture
def take(monkeypatch, tempo):
    """Take a batch: events left and seconds taken in, the batch limit out."""
    clock = [0.0]
    monkeypatch.setattr(batch_size, "monotonic", lambda: clock[0])

    def taken(left: int, seconds: float = 0.0, *, shared: bool = False) -> int:
        with tempo.limit(left, shared=shared) as some:
            clock[0] += seconds
        return some

    return taken


def test_more_and_more_while_much_is_left(take):
    sizes = [take(MUCH) for _ in range(4)]
    assert sizes == [BATCH_SIZE, 2 * BATCH_SIZE, MAX_BATCH_SIZE, MAX_BATCH_SIZE]


def test_no_more_than_a_share_of_what_is_left(take):
    for _ in range(3):
        take(MUCH)
    assert take(MUCH - BACKLOG_DIVISOR) == MAX_BATCH_SIZE - 1
    assert take(BACKLOG_DIVISOR * BATCH_SIZE) == take(1) == take(0) == BATCH_SIZE
    assert take(MUCH) == MAX_BATCH_SIZE, "what was learned of a whole one still holds"


def test_fewer_where_they_take_long(take):
    sizes = [take(MUCH, seconds) for seconds in (0, 0, SLOW, SLOW, SLOW, 0, 0)]
    assert sizes == [
        BATCH_SIZE,
        2 * BATCH_SIZE,
        MAX_BATCH_SIZE,
        2 * BATCH_SIZE,
        BATCH_SIZE,
        BATCH_SIZE,
        2 * BATCH_SIZE,
    ]


def test_a_batch_that_is_not_whole_tells_nothing(take):
    for _ in range(3):
        take(MUCH)
    take(BACKLOG_DIVISOR * BATCH_SIZE, SLOW)
    assert take(MUCH) == MAX_BATCH_SIZE


def test_batches_are_short_while_other_workspaces_wait(take):
    slow = 2 * SHORT_SECONDS
    assert take(MUCH, shared=True) == MIN_SHARED_SIZE
    sizes = [take(MUCH, shared=True) for _ in range(4)]
    assert sizes == [2 * MIN_SHARED_SIZE, 4 * MIN_SHARED_SIZE, BATCH_SIZE, BATCH_SIZE]
    sizes = [take(MUCH, slow, shared=True) for _ in range(5)]
    assert sizes == [BATCH_SIZE, BATCH_SIZE // 2, BATCH_SIZE // 4, MIN_SHARED_SIZE, MIN_SHARED_SIZE]
    assert take(MUCH, slow) >= BATCH_SIZE, "no other one waits now"


def longest(tempo: AdaptiveBatchSize) -> int:
    return max(filter(tempo.is_short, range(BATCH_SIZE + 1)))


def test_as_many_events_are_short_as_take_a_moment(take, tempo):
    assert longest(tempo) == MIN_SHARED_SIZE, "nothing is known yet"
    take(MIN_SHARED_SIZE, 2 * SHORT_SECONDS)
    assert longest(tempo) == MIN_SHARED_SIZE // 2
    take(MUCH, 2 * SHORT_SECONDS)
    assert longest(tempo) == MIN_SHARED_SIZE // 2, "so many took long, too, but fewer are no news"
    take(100, SHORT_SECONDS)
    assert longest(tempo) == MIN_SHARED_SIZE // 2, "about as many as that"
    take(200)
    assert longest(tempo) == 400, "they are quick again"
    take(1)
    assert longest(tempo) == 400


def test_a_few_slow_events_are_short_nevertheless(take, tempo):
    take(1, 2 * SHORT_SECONDS)
    assert longest(tempo) == MIN_SHORT_SIZE
    assert take(MUCH, shared=True) == MIN_SHARED_SIZE
