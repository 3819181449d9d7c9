"""Events that say themselves when a session began or ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from domain.events.events import MessageEvent

_STARTS = ("start", "started_at", "startedAt", "start_time", "startTime", "startDate", "begin")
_ENDS = ("end", "ended_at", "endedAt", "end_time", "endTime", "endDate")

MAX_DISTANCE = timedelta(days=7)
"""A start or end that is further from its event is a broken clock's."""

_MILLISECONDS = 10**11
"""Seconds since 1970 are below this until the year 5138, and milliseconds above it since 1973."""


class SessionBounds(NamedTuple):
    """The earliest and the latest instant that an event knows of its session."""

    start: datetime
    end: datetime


def session_bounds(event: MessageEvent, properties: Mapping[str, Any]) -> SessionBounds:
    """Return when an event about a session occurred, widened by the start and end that it names."""
    at = event.occurred_at
    named = [
        it
        for it in _named_instants(properties)
        if abs(it - at) <= MAX_DISTANCE and it <= event.received_at
    ]
    return SessionBounds(min([at, *named]), max([at, *named]))


def _named_instants(properties: Mapping[str, Any]) -> list[datetime]:
    said = (next((properties[it] for it in names if it in properties), None) for names in _BOTH)
    return [moment for it in said if (moment := _instant(it)) is not None]


_BOTH = (_STARTS, _ENDS)


def _instant(value: Any) -> datetime | None:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS else value, UTC)
        return _parse_text(value.strip()) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _parse_text(text: str) -> datetime:
    if "/" in text:
        return datetime.strptime(f"{text} +0000", "%d/%m/%Y %H:%M:%S %z")
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
