"""Instants, time zones and positions in the parameters of queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from domain.core.errors import InvalidRequest

# A + in a URL that was not encoded arrives as a space.
_LOST_PLUS = re.compile(r"(T[\d:.]+) (\d\d:?\d\d)$")


def parse_zone(name: str) -> tzinfo:
    """Returns the IANA time zone, or raises InvalidRequest."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"unknown time zone {name!r}; use an IANA name such as Europe/Berlin",
            tz=name,
        ) from None


def parse_instant(text: str, zone: tzinfo, parameter: str) -> datetime:
    """Returns the instant in UTC of an RFC 3339 time, or of a date or time in a zone.

    A date is its midnight.  Raises InvalidRequest for anything else.
    """
    try:
        local = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text.strip()))
        aware = local if local.tzinfo else local.replace(tzinfo=zone)
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{parameter} is neither a date nor a time: {text!r}; "
            "write 2026-01-31, 2026-01-31T10:00 or 2026-01-31T10:00:00Z",
            **{parameter: text},
        ) from None


def parse_position_or_instant(text: str, parameter: str) -> int | datetime:
    """Returns a position of the ledger, or an instant as :func:`parse_instant` reads it in UTC.

    Raises InvalidRequest for anything else.
    """
    if text.isascii() and text.isdigit():
        return min(int(text), 2**63 - 1)
    try:
        return parse_instant(text, UTC, parameter)
    except InvalidRequest:
        raise InvalidRequest(
            f"{parameter} is neither a position nor a date or time: {text!r}; "
            "write 42, 2026-01-31, 2026-01-31T10:00 or 2026-01-31T10:00:00Z",
            **{parameter: text},
        ) from None
