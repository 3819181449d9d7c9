"""Start and end of a session as named in the properties of a session event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from domain.events.events import MessageEvent

_STARTS = ("start", "started_at", "startedAt", "start_time", "startTime", "startDate", "begin")
_ENDS = ("end", "ended_at", "endedAt", "end_time", "endTime", "endDate")

MAX_DISTANCE = timedelta(days=7)
"""Greatest distance of a start or end from its event; beyond it, the clock is taken to be wrong."""

_MILLISECONDS = 10**11
"""Seconds since 1970 are below this until the year 5138, and milliseconds above it since 1973."""


class SessionBounds(NamedTuple):
    """Earliest and latest instant of a session that an event names."""

    start: datetime
    end: datetime


def session_bounds(event: MessageEvent, properties: Mapping[str, Any]) -> SessionBounds:
    """Returns the time of a session event, widened by the start and end that it names."""
    at = event.occurred_at
    named = [
        instant
        for instant in _named_instants(properties)
        if abs(instant - at) <= MAX_DISTANCE and instant <= event.received_at
    ]
    return SessionBounds(min([at, *named]), max([at, *named]))


def _named_instants(properties: Mapping[str, Any]) -> list[datetime]:
    values = (next((properties[n] for n in names if n in properties), None) for names in _BOTH)
    return [instant for value in values if (instant := _instant(value)) is not None]


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
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC)
