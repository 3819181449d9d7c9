"""Query of one event with its payload as received."""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import Text, cast

from domain.core.errors import NotFound
from domain.core.time import format_utc_or_none
from domain.events.events import MessageEvent
from domain.events.recorded import RecordedEvent
from projections.kit import received, shown_profile
from projections.runtime.ports import IdentityPort, LedgerPort, SessionsPort
from projections.runtime.projection import Query
from projections.timeline import answers, listing
from projections.timeline.tables import MESSAGE, timeline

_c = timeline.c
_DETAIL_COLUMNS = listing.EVENT_COLUMNS.add_columns(cast(_c.page_view, Text).label("page_view"))


class _Ports(IdentityPort, LedgerPort, SessionsPort, Protocol): ...


class EventPath(BaseModel):
    """Id of an event."""

    id: UUID = Field(description="Id of the event, as lists show it")


def get_event(reader: _Ports, params: EventPath) -> dict[str, Any]:
    """Returns one event.  Raises NotFound if there is none, or if it has been erased."""
    row: listing.AnyRow | None = reader.tx.execute(
        _DETAIL_COLUMNS.where(_c.workspace == reader.workspace, _c.id == params.id)
    ).first()
    recorded = None if row is None else reader.recorded_event(row.position)
    if row is None or recorded is None or not isinstance(recorded.event, MessageEvent):
        raise NotFound(f"no event {params.id} is known in this workspace", id=str(params.id))
    event = recorded.event
    profile = reader.profile(row.stream)
    return {
        **listing.event_json(row, {row.stream: profile.id}),
        "caused_by": None if row.ordinal == MESSAGE else event.id,
        "sent_at": format_utc_or_none(event.sent_at),
        "version": recorded.version,
        "session": None if row.session_id is None else reader.session(row.session_id, profile),
        "page_view": None if row.page_view is None else Raw(row.page_view.encode()),
        "profile": None if event.subject is None else _profile(reader, recorded),
        **received.received_json(event),
        "projected_to": reader.projected_to,
    }


def _profile(reader: LedgerPort, recorded: RecordedEvent) -> dict[str, Any] | None:
    """Returns the profile as of the event."""
    past = reader.profile_as_of(recorded.stream, recorded.position)
    return None if past is None else shown_profile.profile_json(past.profile, past.state)


event = Query(
    "/events/{id}",
    EventPath,
    answers.EventDetail,
    get_event,
    "Get an event with its payload exactly as received",
)
