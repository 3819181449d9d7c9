"""One event with everything that was received."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import func, select

from domain import repair
from domain.errors import NotFound
from domain.events import MessageEvent
from projections.base import Query, Reader
from projections.instants import shown, shown_if_any
from projections.timeline import answers, listing
from projections.timeline.tables import timeline

_c = timeline.c


class EventDetailParams(BaseModel):
    """Which event."""

    id: UUID = Field(description="Id of the event, as lists show it")


def answer_event(reader: Reader, params: EventDetailParams) -> dict[str, Any]:
    """Answer one event.  Raises NotFound for one that is not there or has been erased."""
    wanted = listing.SHOWN.where(_c.workspace == reader.workspace, _c.id == params.id)
    row: listing.AnyRow | None = reader.tx.execute(wanted).first()
    recorded = None if row is None else reader.recorded(row.position)
    if row is None or recorded is None or not isinstance(recorded.event, MessageEvent):
        raise NotFound(f"no event {params.id} is known in this workspace", id=str(params.id))
    event = recorded.event
    return {
        **listing.event(row),
        "sent_at": shown_if_any(event.sent_at),
        "version": recorded.version,
        "session": _session(reader, row.session_id, row.channel),
        **_received(event),
        "projected_to": reader.projected_to,
    }


def _received(event: MessageEvent) -> dict[str, Any]:
    """Return what was received: readable as JSON, and exactly as it came."""
    received = event.raw or event.payload
    try:
        raw, encoding = received.decode(), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = b64encode(received).decode(), "base64"
    document = _json(received)
    return {
        "payload": _json(event.payload) if document is None else document,
        "raw": raw,
        "raw_encoding": encoding,
    }


def _json(document: bytes) -> Raw | None:
    """Return the document as strict JSON, number for number; None if it is no JSON at all."""
    try:
        msgspec.json.decode(document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _repaired(document)
    return Raw(document)


def _repaired(document: bytes) -> Raw | None:
    try:
        return Raw(repair.dump(repair.parse(document)))
    except (ValueError, RecursionError):
        return None


def _session(reader: Reader, session: str | None, channel: str | None) -> dict[str, Any] | None:
    """Return the session as its events in the timeline show it."""
    if session is None:
        return None
    started_at, ended_at, events = reader.tx.execute(
        select(func.min(_c.occurred_at), func.max(_c.occurred_at), func.count()).where(
            _c.workspace == reader.workspace, _c.session_id == session
        )
    ).one()
    return {
        "id": session,
        "channel": channel,
        "started_at": shown(started_at),
        "ended_at": shown(ended_at),
        "events": events,
    }


event = Query(
    path="/events/{id}",
    params=EventDetailParams,
    answers=answers.EventDetail,
    answer=answer_event,
    summary="Show an event with its payload exactly as received",
)
