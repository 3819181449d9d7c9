"""Clock helpers: instants as microseconds since 1970-01-01 UTC, durations, parsing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from domain.core.errors import InvalidRequest

MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)

MAX_DURATION_DAYS = 36_525
"""A window is at most a hundred years."""


def parse_duration(text: Any) -> int:
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
    if seconds > MAX_DURATION_DAYS * 86_400:
        raise InvalidRequest(f"{text} is too long; a duration is at most {MAX_DURATION_DAYS}d")
    return seconds * 1_000_000


def to_micros(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC."""
    return (instant - _EPOCH) // MICROSECOND


def from_micros(at: int) -> datetime:
    """Return the instant, in UTC, that is so many microseconds after 1970-01-01."""
    return _EPOCH + at * MICROSECOND


EARLIEST = to_micros(datetime.min.replace(tzinfo=UTC))
LATEST = to_micros(datetime.max.replace(tzinfo=UTC))
"""The first and the last instant that can be written down: of the years 1 and 9999."""


@lru_cache(maxsize=65_536)
def parse_instant(text: str) -> int | None:
    """Return the microseconds of an RFC 3339 instant or a date (UTC), or None if it is neither."""
    if len(text) < 10 or not text[:4].isdigit():
        return None
    try:
        instant = datetime.fromisoformat(text)
        return to_micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None
