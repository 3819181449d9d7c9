"""The earliest value of a field, as text that sorts by time.

The text is an instant and an event's id, both of fixed width, then the value.  The least of several texts
is the earliest value, in whatever order the events arrived.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.core.time import format_utc
from domain.events.events import MessageEvent

_WIDTH = len("2026-01-01T12:00:00.000000Z") + len("0123456789abcdef0123456789abcdef")


def merge_first(current: str | None, event: MessageEvent, value: str) -> str:
    """Returns the earlier of the current text and the value of this event."""
    encoded = f"{format_utc(event.occurred_at)}{event.id.hex}{value}"
    return encoded if current is None or encoded < current else current


def decode_first(texts: Iterable[str | None]) -> str | None:
    """Returns the value of the earliest text, None if there is none."""
    first = min((text for text in texts if text is not None), default=None)
    return None if first is None else first[_WIDTH:]
