"""How a batch of messages is added to the sessions that it belongs to."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from domain.events.events import MessageEvent
from domain.events.payload import MAX_NAME_LENGTH, MessageContext, ParsedMessage, is_session_event
from projections.kit import visit
from projections.kit.arrays import Uuids
from projections.kit.copying import copy_rows
from projections.kit.visit import first_text
from projections.runtime.batch import Batch, DecodedMessage
from projections.sessions import campaign, explicit, first_value
from projections.sessions.tables import session

_FIRST = ("channel", "device", "utm")

# LATERAL and OFFSET make it one that asks the index for each: on a table that has just grown the planner
# thinks that reading it all is cheaper.
_KNOWN = f"""
SELECT new.place FROM unnest(%b, %b::text[]) WITH ORDINALITY AS new(stream, id, place)
CROSS JOIN LATERAL (
    SELECT FROM {session} AS known
    WHERE known.workspace = %s AND known.stream = new.stream AND known.id = new.id OFFSET 0
) AS known
"""

# All rows as one JSON parameter: one plan, whatever the batch.
_ADD = text(f"""
INSERT INTO {session} AS known (workspace, id, stream, started_at, ended_at, events, pages, {", ".join(_FIRST)})
SELECT :workspace, id, stream, started_at, ended_at, events, pages, {", ".join(_FIRST)}
FROM json_to_recordset(:rows) AS new(id text, stream uuid, started_at timestamptz,
    ended_at timestamptz, events bigint, pages bigint, {" text, ".join(_FIRST)} text)
ON CONFLICT (workspace, stream, id) DO UPDATE SET
    started_at = least(known.started_at, excluded.started_at),
    ended_at = greatest(known.ended_at, excluded.ended_at),
    events = known.events + excluded.events,
    pages = known.pages + excluded.pages,
    {", ".join(f"{it} = least(known.{it}, excluded.{it})" for it in _FIRST)}
""")


class SessionDelta(msgspec.Struct, gc=False):
    """What a batch adds to one session of one stream."""

    id: str
    stream: UUID
    started_at: datetime
    ended_at: datetime
    events: int = 0
    pages: int = 0
    channel: str | None = None
    device: str | None = None
    utm: str | None = None


def apply(tx: Connection, batch: Batch) -> None:
    """Add the batch's messages to their sessions; those without a session belong to none.

    Nobody else adds to a workspace's sessions meanwhile, for the checkpoint is held.
    """
    visits: list[SessionDelta] = []
    for stream, messages in batch.by_stream().items():
        theirs: dict[str, SessionDelta] = {}
        for message in messages:
            if (session_id := message.document.session_id) is not None:
                _add(theirs, session_id, stream, message)
        visits += theirs.values()
    if not visits:
        return
    keys = Uuids([it.stream for it in visits]), [it.id for it in visits]
    known = set(tx.exec_driver_sql(_KNOWN, (*keys, batch.workspace)).scalars())
    changed = [it for place, it in enumerate(visits, 1) if place in known]
    if changed:
        rows = msgspec.json.encode(changed).decode()
        tx.execute(_ADD, {"workspace": batch.workspace, "rows": rows})
    copy_rows(
        tx,
        session,
        (_row(batch.workspace, it) for place, it in enumerate(visits, 1) if place not in known),
    )


def _row(workspace: int, it: SessionDelta) -> tuple[Any, ...]:
    return (
        workspace,
        it.stream,
        it.id,
        it.started_at,
        it.ended_at,
        it.events,
        it.pages,
        it.channel,
        it.device,
        it.utm,
    )


def _add(
    visits: dict[str, SessionDelta], session_id: str, stream: UUID, message: DecodedMessage
) -> None:
    _, event, document = message
    start = end = event.occurred_at
    if is_session_event(event.name):
        start, end = explicit.session_bounds(event, document.properties)
    known = visits.get(session_id)
    if known is None:
        known = visits[session_id] = SessionDelta(session_id, stream, start, end)
    elif start < known.started_at:
        known.started_at = start
    known.ended_at = max(known.ended_at, end)
    known.events += 1
    if document.name == "page_view":
        known.pages += 1
    if document.channel is not None:
        known.channel = first_value.merge_first(known.channel, event, document.channel)
    context = visit.context_of(document)
    if (device := _device(event, document, context)) is not None:
        known.device = first_value.merge_first(known.device, event, device)
    if (utm := _utm(event, document, context)) is not None:
        known.utm = first_value.merge_first(known.utm, event, utm)


# Most messages say nothing of these, and a look at the bytes is enough to know.
def _device(event: MessageEvent, document: ParsedMessage, context: MessageContext) -> str | None:
    if context.userAgent is None and b"device" not in event.payload:
        return None
    properties = document.properties
    said = first_text(properties.get("device_type"), properties.get("deviceType"))
    if said is not None:
        return said[:MAX_NAME_LENGTH]
    shown_by_agent = visit.client_of(context).device_type
    if shown_by_agent != "unknown":
        return shown_by_agent
    kind = visit.decode_object(context.device).get("type")
    return "mobile" if isinstance(kind, str) and kind.lower() in ("android", "ios") else None


def _utm(event: MessageEvent, document: ParsedMessage, context: MessageContext) -> str | None:
    if not (context.campaign or b"utm_" in event.payload or is_session_event(event.name)):
        return None
    said = campaign.utm_parameters(event.name, document.properties, context)
    return None if said is None else msgspec.json.encode(said, order="sorted").decode()
