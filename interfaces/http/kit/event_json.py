"""JSON form of ledger events, as history and exports show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from domain.core.identifiers import Identifier
from domain.core.time import format_utc
from domain.events.events import Event, IdentifiersLinked, MessageEvent
from domain.events.recorded import RecordedEvent
from projections.kit import received

_HEADER_FIELDS = frozenset(("originator_id", "originator_version", "id"))
_CAUSE_FIELDS = frozenset(("message_id", "source", "shown_by", "actor", "reason"))
_RECEIVED_FIELDS = frozenset(("payload", "raw"))


def position_fields(recorded: RecordedEvent) -> dict[str, Any]:
    """Return an event's position, stream, version, time, topic and id."""
    event = recorded.event
    return {
        "position": recorded.position,
        "stream": recorded.stream,
        "version": recorded.version,
        "recorded_at": format_utc(recorded.recorded_at),
        "topic": None if event is None else event.TOPIC,
        "id": None if event is None else event.id,
    }


def cause_fields(event: Event) -> dict[str, Any]:
    """Return an event's cause: its message, the event that showed a link, or a command's actor."""
    if isinstance(event, IdentifiersLinked):
        return {"event": event.shown_by}
    cause: dict[str, Any] = {}
    if isinstance(event, MessageEvent):
        cause = {"message_id": event.message_id, "source": event.source}
    if getattr(event, "actor", ""):
        cause |= {name: getattr(event, name) for name in ("actor", "reason")}
    return cause


def data_fields(event: Event) -> dict[str, Any]:
    """Return an event's fields, except its position, its cause and the received message."""
    return {
        name: _json_value(getattr(event, name))
        for name in event.__struct_fields__
        if name not in _HEADER_FIELDS | _CAUSE_FIELDS | _RECEIVED_FIELDS
    }


def received_fields(event: Event) -> dict[str, Any]:
    """Return the received message as JSON fields; empty if the event records no message."""
    return received.received_json(event) if isinstance(event, MessageEvent) else {}


def encode_json(answer: Any) -> bytes:
    """Encode a response body; types that JSON lacks become their text."""
    return msgspec.json.encode(answer, enc_hook=str)


def _json_value(value: Any) -> Any:
    if isinstance(value, Identifier):
        return value._asdict()
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, datetime):
        return format_utc(value)
    if isinstance(value, bytes):  # JSON: a condition, a computation or a rule
        return Raw(value) if value else None
    return str(value) if isinstance(value, UUID) else value
