"""How many events are taken at once."""

from __future__ import annotations

import pytest

from projections.runtime import batch_size
from projections.runtime.batch_size import BATCH, LARGEST, QUICK_SECONDS, SHARE, Pace

MUCH = SHARE * LARGEST
SLOW = 2 * QUICK_SECONDS


@pytest.fixture
def take(monkeypatch):
    """Take a batch of so many that are left, in so many seconds, and return how many may be in it."""
    clock, tempo = [0.0], Pace()
    monkeypatch.setattr(batch_size, "monotonic", lambda: clock[0])

    def taken(left: int, seconds: float = 0.0) -> int:
        with tempo.limit(left) as some:
            clock[0] += seconds
        return some

    return taken


def test_more_and_more_while_much_is_left(take):
    sizes = [take(MUCH) for _ in range(4)]
    assert sizes == [BATCH, 2 * BATCH, LARGEST, LARGEST]


def test_no_more_than_a_share_of_what_is_left(take):
    for _ in range(3):
        take(MUCH)
    assert take(MUCH - SHARE) == LARGEST - 1
    assert take(SHARE * BATCH) == take(1) == take(0) == BATCH
    assert take(MUCH) == LARGEST, "what was learned of a whole one still holds"


def test_fewer_where_they_take_long(take):
    sizes = [take(MUCH, seconds) for seconds in (0, 0, SLOW, SLOW, SLOW, 0, 0)]
    assert sizes == [BATCH, 2 * BATCH, LARGEST, 2 * BATCH, BATCH, BATCH, 2 * BATCH]


def test_a_batch_that_is_not_whole_tells_nothing(take):
    for _ in range(3):
        take(MUCH)
    take(SHARE * BATCH, SLOW)
    assert take(MUCH) == LARGEST
