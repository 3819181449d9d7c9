"""Durations, windows and counts, as conditions spell them.  Instants are microseconds since 1970 UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from domain.errors import InvalidRequest

MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)

LONGEST_DAYS = 36_525
"""A window is at most a hundred years."""


def duration(text: Any) -> int:
    """Return the microseconds of ``90s``, ``15m``, ``24h`` or ``30d``; a day is 24 hours."""
    if not isinstance(text, str):
        raise InvalidRequest("a duration is a text such as 90s, 15m, 24h or 30d")
    return _duration(text)


@lru_cache(maxsize=4096)
def _duration(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise InvalidRequest(f"{text!r} is no duration; write one such as 90s, 15m, 24h or 30d")
    seconds = int(found[1]) * _UNITS[found[2]]
    if seconds > LONGEST_DAYS * 86_400:
        raise InvalidRequest(f"{text} is too long; a duration is at most {LONGEST_DAYS}d")
    return seconds * 1_000_000


def microseconds(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC."""
    return (instant - _EPOCH) // MICROSECOND


def moment(at: int) -> datetime:
    """Return the instant, in UTC, that is so many microseconds after 1970-01-01."""
    return _EPOCH + at * MICROSECOND


FIRST = microseconds(datetime.min.replace(tzinfo=UTC))
LAST = microseconds(datetime.max.replace(tzinfo=UTC))
"""The first and the last instant that can be written down: of the years 1 and 9999."""


@lru_cache(maxsize=65_536)
def instant_us(text: str) -> int | None:
    """Return the microseconds of an RFC 3339 instant or a date (UTC), or None if it is neither."""
    if len(text) < 10 or not text[:4].isdigit():
        return None
    try:
        instant = datetime.fromisoformat(text)
        return microseconds(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


class Within(
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
            duration(self.last)
            if self.from_ is not None or self.to is not None:
                raise InvalidRequest("`within` is either {last} or {from, to}, not both")
        elif self.from_ is None and self.to is None:
            raise InvalidRequest("`within` needs `last`, or `from` or `to`")
        for each in (self.from_, self.to):
            if each is not None and instant_us(each) is None:
                raise InvalidRequest(f"{each!r} is no instant; write 2026-01-31T12:00:00Z")

    @property
    def span(self) -> int | None:
        """Length of a window that moves with the clock, in microseconds; None of a fixed one."""
        return None if self.last is None else duration(self.last)

    def covers(self, at: int) -> bool:
        """Say whether a fixed window has the instant: ``from`` ≤ at < ``to``."""
        low = None if self.from_ is None else instant_us(self.from_)
        high = None if self.to is None else instant_us(self.to)
        return (low is None or low <= at) and (high is None or at < high)


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
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
        if low < 0 or (high is not None and high < low) or max(low, high or 0) > MOST:
            raise InvalidRequest(f"`count` is between 0 and {MOST}, the smaller first")

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
    def enough(self) -> int:
        """How many events tell everything: one more changes nothing."""
        low, high = self.bounds
        return low if high is None else high + 1

    def holds(self, count: int) -> bool:
        """Say whether that often is right."""
        low, high = self.bounds
        return count >= low and (high is None or count <= high)


MOST = 100_000
"""Largest number of times that a condition may ask for."""

ONCE = Count(at_least=1)
