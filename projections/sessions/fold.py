"""How a batch of messages is added to the sessions that it belongs to."""

from __future__ import annotations

from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from domain.payload import NAME_LENGTH, Context
from projections import visit
from projections.batch import Batch, Message
from projections.instants import shown
from projections.sessions import campaign, explicit
from projections.sessions.tables import session
from projections.visit import first_text

Said = tuple[str, str, str]
"""An instant, an event's id, what it said: the least is what was said first."""

_FIRST = ("channel", "device", "utm")

# All rows as one JSON parameter: one plan, whatever the batch; sorted by key, so that two writers
# can never wait for each other.
_ADD = text(f"""
INSERT INTO {session} AS known (workspace, id, stream, started_at, ended_at, events, pages, {", ".join(_FIRST)})
SELECT :workspace, id, stream, started_at, ended_at, events, pages, {", ".join(_FIRST)}
FROM json_to_recordset(:rows) AS new(id text, stream uuid, started_at timestamptz,
    ended_at timestamptz, events bigint, pages bigint, {" text[], ".join(_FIRST)} text[])
ON CONFLICT (workspace, id, stream) DO UPDATE SET
    started_at = least(known.started_at, excluded.started_at),
    ended_at = greatest(known.ended_at, excluded.ended_at),
    events = known.events + excluded.events,
    pages = known.pages + excluded.pages,
    {", ".join(f"{it} = least(known.{it}, excluded.{it})" for it in _FIRST)}
""")


class Visit(msgspec.Struct, gc=False):
    """What a batch adds to one session of one stream."""

    id: str
    stream: UUID
    started_at: datetime
    ended_at: datetime
    events: int = 0
    pages: int = 0
    channel: Said | None = None
    device: Said | None = None
    utm: Said | None = None


def apply(tx: Connection, batch: Batch) -> None:
    """Add the batch's messages to their sessions; those without a session belong to none."""
    visits: dict[tuple[str, UUID], Visit] = {}
    for message in batch.messages():
        session_id = message.document.session_id
        if session_id is not None and message.event.subject is not None:
            _add(visits, session_id, message)
    if visits:
        rows = sorted(visits.values(), key=attrgetter("id", "stream"))
        document = msgspec.json.encode(rows).decode()
        tx.execute(_ADD, {"workspace": batch.workspace, "rows": document})


def _add(visits: dict[tuple[str, UUID], Visit], session_id: str, message: Message) -> None:
    recorded, event, document = message
    start, end = explicit.bounds(event, document.properties)
    key = session_id, recorded.stream
    known = visits.get(key)
    if known is None:
        known = visits[key] = Visit(session_id, recorded.stream, start, end)
    known.started_at = min(known.started_at, start)
    known.ended_at = max(known.ended_at, end)
    known.events += 1
    known.pages += document.name == "page_view"
    when = shown(event.occurred_at), event.id.hex
    context = visit.context(document)
    for name, said in (
        ("channel", document.channel),
        ("device", _device(document.properties, context)),
        ("utm", _utm(document.name, document.properties, context)),
    ):
        if said is not None:
            before: Said | None = getattr(known, name)
            now = (*when, said)
            setattr(known, name, now if before is None else min(before, now))


def _device(properties: dict[str, Any], context: Context) -> str | None:
    said = first_text(properties.get("device_type"), properties.get("deviceType"))
    if said is not None:
        return said[:NAME_LENGTH]
    shown_by_agent = visit.client(context).device_type
    if shown_by_agent != "unknown":
        return shown_by_agent
    kind = visit.members(context.device).get("type")
    return "mobile" if isinstance(kind, str) and kind.lower() in ("android", "ios") else None


def _utm(name: str, properties: dict[str, Any], context: Context) -> str | None:
    said = campaign.utm(name, properties, context)
    return None if said is None else msgspec.json.encode(said, order="sorted").decode()
