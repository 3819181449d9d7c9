"""What was said first, as text whose order is that of the saying.

An instant and an event's id, both of fixed width, then the value.  The least of two such texts is the
one that was said first, whatever came in first.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.core.time import format_utc
from domain.events.events import MessageEvent

_WIDTH = len("2026-01-01T12:00:00.000000Z") + len("0123456789abcdef0123456789abcdef")


def merge_first(current: str | None, event: MessageEvent, value: str) -> str:
    """Return what was said first: what is known, or the value as this event said it."""
    said = f"{format_utc(event.occurred_at)}{event.id.hex}{value}"
    return said if current is None or said < current else current


def decode_first(texts: Iterable[str | None]) -> str | None:
    """Return the value that was said first, None if none was."""
    first = min((it for it in texts if it is not None), default=None)
    return None if first is None else first[_WIDTH:]
