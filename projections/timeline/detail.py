"""One event with everything that was received."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import func, select

from domain.errors import NotFound
from domain.events import MessageEvent
from projections import received
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
        **received.shown(event),
        "projected_to": reader.projected_to,
    }


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
