"""Parses the times that clients send, and corrects their clock skew."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

FIRST_YEAR, LAST_YEAR = 1970, 2100
"""Range of accepted years; others come from a broken clock or a wrong unit."""

EPOCH = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)

_from_iso = datetime.fromisoformat

_NUMBER = re.compile(r"\d{9,19}(\.\d{1,20})?", re.ASCII)
_BASIC = re.compile(r"(\d{8}|\d{4}-?W\d\d(-?\d)?)(T[\d:]+([.,]\d+)?(Z|[+-][\d:]+)?)?", re.ASCII)
_UNUSUAL = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[Tt _]"
    r"(?P<minutes>(?P<hour>\d\d):\d\d)(:(?P<second>\d\d)([.,](?P<fraction>\d+))?)?"
    r"\s*(?P<zone>[Zz]|UTC|GMT|[+-]\d\d(:?\d\d)?)?",
    re.ASCII,
)
_UNITS = ((1e11, 1), (1e14, 1_000), (1e17, 1_000_000), (math.inf, 1_000_000_000))
"""Upper bound of a number and its unit per second: seconds, then milli-, micro- and nanoseconds."""


def parse_time(value: object) -> datetime | None:
    """Return the instant in UTC, or None if the value is not a time or outside 1970 to 2100.

    Accepts ISO 8601 in the forms that SDKs send, ``YYYY-MM-DD HH:MM:SS``, a date alone, and seconds or milliseconds
    since 1970 as a number or as a string of at least nine digits.  A time without a zone is UTC.  24:00 is the start
    of the next day; the leap second 60 is the last microsecond before it.
    """
    if not isinstance(value, str):
        return _since_epoch(value) if isinstance(value, (int, float)) else None
    if value[4:5] != "-" or value[10:11] not in "Tt ":
        return _parse_unusual(value)
    try:
        parsed = _from_iso(value)
    except ValueError:
        return _parse_unusual(value)
    if parsed.tzinfo is UTC and FIRST_YEAR <= parsed.year <= LAST_YEAR:
        return parsed
    return _within_accepted_years(parsed)


def correct_clock_skew(received: datetime, sent: datetime | None, original: datetime) -> datetime:
    """Return the event's time by the server's clock: ``received - (sent - original)``.

    The client's clock may be wrong, but the difference of its two times is right.  Without ``sent`` no correction is
    made.  The result is never later than ``received``; if it is before 1970, one of the times is invalid and
    ``received`` is returned.
    """
    if sent is not None:
        try:
            original = received - (sent - original)
        except OverflowError:
            return received
    return original if EPOCH <= original <= received else received


def _within_accepted_years(parsed: datetime) -> datetime | None:
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    elif parsed.tzinfo is not UTC:
        try:
            parsed = parsed.astimezone(UTC)
        except OverflowError:
            return None
    return parsed if FIRST_YEAR <= parsed.year <= LAST_YEAR else None


def _parse_unusual(text: str) -> datetime | None:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return _since_epoch(float(text) if not text.isdigit() else int(text))
    match = _UNUSUAL.fullmatch(text)
    if match is None:
        return _parse_basic(text)
    second, fraction, zone = match["second"] or "00", match["fraction"] or "0", match["zone"]
    if second == "60":
        second, fraction = "59", "999999"
    minutes, days = match["minutes"], timedelta()
    if match["hour"] == "24":
        if minutes != "24:00" or second != "00" or fraction.strip("0"):
            return None
        minutes, days = "00:00", timedelta(days=1)
    offset = zone if zone and zone[0] in "+-" else "+00:00"
    try:
        iso = f"{match['date']}T{minutes}:{second}.{fraction}{offset}"
        return _within_accepted_years(_from_iso(iso) + days)
    except (ValueError, OverflowError):
        return None


def _parse_basic(text: str) -> datetime | None:
    """Parse week dates, and dates and times without dashes and colons."""
    try:
        return _within_accepted_years(_from_iso(text)) if _BASIC.fullmatch(text) else None
    except ValueError:
        return None


def _since_epoch(number: float) -> datetime | None:
    if isinstance(number, bool) or not abs(number) < 1e20:  # also rejects NaN
        return None
    per_second = next(unit for below, unit in _UNITS if abs(number) < below)
    if isinstance(number, int):
        seconds, remainder = divmod(number, per_second)
        span = timedelta(seconds=seconds, microseconds=remainder * 1_000_000 // per_second)
    else:
        span = timedelta(seconds=number / per_second)
    try:
        return _within_accepted_years(EPOCH + span)
    except OverflowError:
        return None
