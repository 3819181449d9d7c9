"""Time windows and counts of conditions."""

from __future__ import annotations

import msgspec

from domain.core.errors import InvalidRequest
from domain.core.time import parse_duration, parse_instant


class TimeWindow(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from"},
):
    """Which events count: those of the last while, or between two instants, either end open."""

    last: str | None = None
    from_: str | None = None
    to: str | None = None

    def __post_init__(self) -> None:
        if self.last is not None:
            parse_duration(self.last)
            if self.from_ is not None or self.to is not None:
                raise InvalidRequest("`within` is either {last} or {from, to}, not both")
        elif self.from_ is None and self.to is None:
            raise InvalidRequest("`within` needs `last`, or `from` or `to`")
        for each in (self.from_, self.to):
            if each is not None and parse_instant(each) is None:
                raise InvalidRequest(f"{each!r} is no instant; write 2026-01-31T12:00:00Z")

    @property
    def span(self) -> int | None:
        """Length of a window that moves with the clock, in microseconds; None of a fixed one."""
        return None if self.last is None else parse_duration(self.last)

    def contains(self, at: int) -> bool:
        """Say whether a fixed window has the instant: ``from`` ≤ at < ``to``."""
        low = None if self.from_ is None else parse_instant(self.from_)
        high = None if self.to is None else parse_instant(self.to)
        return (low is None or low <= at) and (high is None or at < high)


class CountBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often: exactly one of these."""

    at_least: int | None = None
    at_most: int | None = None
    exactly: int | None = None
    between: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        given = [
            it for it in (self.at_least, self.at_most, self.exactly, self.between) if it is not None
        ]
        if len(given) != 1:
            raise InvalidRequest("`count` is one of at_least, at_most, exactly, between")
        low, high = self.bounds
        if low < 0 or (high is not None and high < low) or max(low, high or 0) > MAX_COUNT:
            raise InvalidRequest(f"`count` is between 0 and {MAX_COUNT}, the smaller first")

    @property
    def bounds(self) -> tuple[int, int | None]:
        """The least and the greatest count that holds; None: no greatest."""
        if self.at_least is not None:
            return self.at_least, None
        if self.at_most is not None:
            return 0, self.at_most
        if self.exactly is not None:
            return self.exactly, self.exactly
        assert self.between is not None
        return self.between

    @property
    def max_relevant_count(self) -> int:
        """How many events tell everything: one more changes nothing."""
        low, high = self.bounds
        return low if high is None else high + 1

    def holds(self, count: int) -> bool:
        """Say whether that often is right."""
        low, high = self.bounds
        return count >= low and (high is None or count <= high)


MAX_COUNT = 100_000
"""Largest number of times that a condition may ask for."""

AT_LEAST_ONCE = CountBounds(at_least=1)
