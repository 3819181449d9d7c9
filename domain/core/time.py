"""Clock helpers: instants as microseconds since 1970-01-01 UTC, and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from domain.core.errors import InvalidRequest

MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([smhd])", re.ASCII)

MAX_DURATION_DAYS = 36_525
"""The longest duration: a hundred years."""


def parse_duration(text: Any) -> int:
    """Returns the microseconds of ``90s``, ``15m``, ``24h`` or ``30d``; a day is 24 hours.

    Raises InvalidRequest for anything else, and for more than `MAX_DURATION_DAYS`.
    """
    if not isinstance(text, str):
        raise InvalidRequest("a duration is a string such as 90s, 15m, 24h or 30d")
    return _duration(text)


@lru_cache(maxsize=4096)
def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"{text[:100]!r} is not a duration; use e.g. 90s, 15m, 24h, 30d")
    seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
    if seconds > MAX_DURATION_DAYS * 86_400:
        raise InvalidRequest(
            f"the duration {text} is too long; use at most {MAX_DURATION_DAYS}d (a hundred years)"
        )
    return seconds * 1_000_000


def to_micros(instant: datetime) -> int:
    """Returns an instant as microseconds since 1970-01-01 UTC; the instant needs a time zone."""
    return (instant - _EPOCH) // MICROSECOND


def from_micros(at: int) -> datetime:
    """Returns the instant, in UTC, of microseconds since 1970-01-01 UTC."""
    return _EPOCH + at * MICROSECOND


EARLIEST = to_micros(datetime.min.replace(tzinfo=UTC))
LATEST = to_micros(datetime.max.replace(tzinfo=UTC))
"""The first and last instant that RFC 3339 can express: in the years 1 and 9999."""


def format_utc(instant: datetime | int) -> str:
    """Formats an instant as RFC 3339 in UTC, with microseconds and a Z.

    An integer is microseconds since 1970-01-01 UTC.
    """
    moment = from_micros(instant) if isinstance(instant, int) else instant
    text = moment.isoformat(timespec="microseconds")
    if not text.endswith("+00:00"):
        text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text[:-6] + "Z"


def format_utc_or_none(instant: datetime | int | None) -> str | None:
    """Formats an instant as `format_utc` does; None stays None."""
    return None if instant is None else format_utc(instant)


@lru_cache(maxsize=65_536)
def parse_instant(text: str) -> int | None:
    """Returns the microseconds of an RFC 3339 instant or date (UTC); None for other text."""
    if len(text) < 10 or not text[:4].isdigit():
        return None
    try:
        instant = datetime.fromisoformat(text)
        return to_micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


def check_instant(text: str | None) -> None:
    """Raises InvalidRequest unless the text is an instant or a date, or None."""
    if text is not None and parse_instant(text) is None:
        raise InvalidRequest(
            f"{text[:100]!r} is not an instant; use RFC 3339, e.g. 2026-01-31T12:00:00Z"
        )
