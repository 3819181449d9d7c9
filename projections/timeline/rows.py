"""Rows of messages in the timeline, in the order of its columns."""

from __future__ import annotations

from typing import Any

from domain.core import sanitise
from domain.events.payload import ParsedMessage
from projections.kit.copying import jsonb
from projections.runtime.batch import DecodedMessage
from projections.timeline import page_view
from projections.timeline.tables import MESSAGE

Row = tuple[Any, ...]


def message_row(workspace: int, message: DecodedMessage) -> Row:
    """Returns the row of a message."""
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
        sanitise.storable_text(event.message_id),
        sanitise.storable_text(event.source),
        document.channel,
        document.session_id,
        jsonb(document.properties_json),
        _page_view(event.kind, document),
    )


def _page_view(kind: str, document: ParsedMessage) -> bytes | None:
    fields = page_view.page_view_fields(kind, document)
    return None if fields is None else jsonb(sanitise.dump_json(fields))
