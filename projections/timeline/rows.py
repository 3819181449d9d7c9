"""The timeline's rows, as COPY takes them."""

from __future__ import annotations

from typing import Any

from domain.core import sanitise
from domain.events.payload import Document
from projections.kit.copying import jsonb
from projections.runtime.batch import Message
from projections.timeline import page_view
from projections.timeline.derived_events.rules import Derived
from projections.timeline.tables import MESSAGE

Row = tuple[Any, ...]


def of_message(workspace: int, message: Message) -> Row:
    """Return the row of a message."""
    recorded, event, document = message
    return (
        workspace,
        recorded.position,
        recorded.stream,
        MESSAGE,
        event.id,
        event.occurred_at,
        event.sent_at,
        event.received_at,
        recorded.recorded_at,
        event.kind,
        document.name,
        event.subject.kind if event.subject is not None else None,
        sanitise.text(event.message_id),
        sanitise.text(event.source),
        document.channel,
        document.session_id,
        jsonb(document.properties_json),
        _page_view(event.kind, document),
    )


def of_derived(workspace: int, cause: Message, ordinal: int, derived: Derived) -> Row:
    """Return the row of what follows from a message: it has times and circumstances from that."""
    recorded, event, document = cause
    return (
        workspace,
        recorded.position,
        recorded.stream,
        ordinal,
        derived.id,
        event.occurred_at,
        event.sent_at,
        event.received_at,
        recorded.recorded_at,
        "derived",
        derived.name,
        event.subject.kind if event.subject is not None else None,
        str(derived.id),
        sanitise.text(event.source),
        document.channel,
        document.session_id,
        jsonb(sanitise.dump(derived.properties)),
        None,
    )


def _page_view(kind: str, document: Document) -> bytes | None:
    seen = page_view.of(kind, document)
    return None if seen is None else jsonb(sanitise.dump(seen))
