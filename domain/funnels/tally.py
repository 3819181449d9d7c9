"""Tally: how many profiles reached each step of a funnel, and how fast."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple


class StepCount(NamedTuple):
    """Counts of one step of a funnel."""

    profiles: int
    """Profiles that reached the step."""

    conversion: float
    """Their share, from 0 to 1, of the profiles that reached the first step."""

    from_previous: float
    """Their share of the profiles that reached the step before; for the first step as `conversion`."""

    seconds_p50: float | None
    """Median seconds since the step before; None for the first step, and without profiles."""


class FunnelTally:
    """Accumulates the walks of many profiles into counts of each step."""

    def __init__(self, steps: int) -> None:
        self._profiles = [0] * steps
        self._durations = [array("q") for _ in range(steps)]
        """By step: microseconds since the step before."""

    @property
    def started(self) -> int:
        """Profiles that reached the first step."""
        return self._profiles[0]

    def add(self, times: Sequence[int]) -> None:
        """Adds a profile by the times of the steps that it reached, in microseconds."""
        for step, at in enumerate(times):
            self._profiles[step] += 1
            if step:
                self._durations[step].append(at - times[step - 1])

    def step_counts(self) -> list[StepCount]:
        """Returns the counts of each step."""
        first = self._profiles[0]
        previous = [first, *self._profiles]
        return [
            StepCount(
                profiles,
                ratio(profiles, first),
                ratio(profiles, previous[step]),
                _seconds(quantile(sorted(self._durations[step]), 0.5)),
            )
            for step, profiles in enumerate(self._profiles)
        ]


def ratio(part: int, whole: int) -> float:
    """Returns a part of a whole, from 0 to 1; 0 if the whole is 0."""
    return part / whole if whole else 0.0


def quantile(values: Sequence[int], fraction: float) -> float | None:
    """Returns a quantile of sorted values, interpolated as ``percentile_cont`` does."""
    if not values:
        return None
    index = fraction * (len(values) - 1)
    low = int(index)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (index - low)


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000_000
