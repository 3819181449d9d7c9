"""What the ways of many people through a funnel add up to."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple


class StepCount(NamedTuple):
    """One step of a funnel."""

    profiles: int
    """How many took it."""

    conversion: float
    """Their share, from 0 to 1, of those who took the first."""

    from_previous: float
    """Their share of those who took the one before; of the first step as `conversion`."""

    seconds_p50: float | None
    """Median of the seconds since the step before; None of the first, and if nobody took it."""


class FunnelTally:
    """Counts people by how far they came."""

    def __init__(self, steps: int) -> None:
        self._profiles = [0] * steps
        self._seconds = [array("q") for _ in range(steps)]

    @property
    def started(self) -> int:
        """How many took the first step."""
        return self._profiles[0]

    def add(self, times: Sequence[int]) -> None:
        """Add a person by when they took their steps, in microseconds."""
        for place, at in enumerate(times):
            self._profiles[place] += 1
            if place:
                self._seconds[place].append(at - times[place - 1])

    def step_counts(self) -> list[StepCount]:
        """Return the steps."""
        first = self._profiles[0]
        before = [first, *self._profiles]
        return [
            StepCount(
                each,
                ratio(each, first),
                ratio(each, before[place]),
                _seconds(quantile(sorted(self._seconds[place]), 0.5)),
            )
            for place, each in enumerate(self._profiles)
        ]


def ratio(part: int, whole: int) -> float:
    """Return a part of the whole, from 0 to 1; of nothing it is 0."""
    return part / whole if whole else 0.0


def quantile(values: Sequence[int], fraction: float) -> float | None:
    """Return what so much of the sorted values are below, interpolated as ``percentile_cont`` does."""
    if not values:
        return None
    place = fraction * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000
