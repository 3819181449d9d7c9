"""Time windows and counts of conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from domain.conditions.schema_fragments import NULL, OPTIONAL_DURATION, exactly_one, requires
from domain.core.errors import InvalidRequest
from domain.core.time import check_instant, parse_duration, parse_instant

MAX_COUNT = 100_000
"""Largest count that a condition can compare with."""

_COUNT = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_COUNT}, NULL]}


class TimeWindow(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"from_": "from"},
):
    """A time window: the last such duration, or ``from`` ≤ t < ``to`` with either end open."""

    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "properties": {"last": OPTIONAL_DURATION},
        "oneOf": [
            requires("last") | {"not": {"anyOf": [requires("from"), requires("to")]}},
            {"anyOf": [requires("from"), requires("to")], "not": requires("last")},
        ],
    }

    last: str | None = None
    from_: str | None = None
    to: str | None = None

    def __post_init__(self) -> None:
        if self.last is not None:
            parse_duration(self.last)
            if self.from_ is not None or self.to is not None:
                raise InvalidRequest("`within` takes either {last} or {from, to}, not both")
        elif self.from_ is None and self.to is None:
            raise InvalidRequest("`within` needs `last`, or `from` or `to`")
        check_instant(self.from_)
        check_instant(self.to)

    @property
    def span(self) -> int | None:
        """Length of a window that moves with the clock, in microseconds; None for a fixed one."""
        return None if self.last is None else parse_duration(self.last)

    def contains(self, at: int) -> bool:
        """Returns whether a fixed window contains an instant: ``from`` ≤ at < ``to``."""
        low = None if self.from_ is None else parse_instant(self.from_)
        high = None if self.to is None else parse_instant(self.to)
        return (low is None or low <= at) and (high is None or at < high)


class CountBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many times: exactly one of the members; ``between`` includes both bounds."""

    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "properties": dict.fromkeys(("at_least", "at_most", "exactly"), _COUNT),
        **exactly_one("at_least", "at_most", "exactly", "between"),
    }

    at_least: int | None = None
    at_most: int | None = None
    exactly: int | None = None
    between: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        members = (self.at_least, self.at_most, self.exactly, self.between)
        if sum(member is not None for member in members) != 1:
            raise InvalidRequest("`count` needs exactly one of at_least, at_most, exactly, between")
        low, high = self.bounds
        if low < 0 or (high is not None and high < low) or max(low, high or 0) > MAX_COUNT:
            raise InvalidRequest(f"`count` must be from 0 to {MAX_COUNT}, the smaller bound first")

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
        """The count from which on more events change nothing."""
        low, high = self.bounds
        return low if high is None else high + 1

    def holds(self, count: int) -> bool:
        """Returns whether a count lies within the bounds."""
        low, high = self.bounds
        return count >= low and (high is None or count <= high)


AT_LEAST_ONCE = CountBounds(at_least=1)
