"""How a batch of messages is added to the sessions that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from domain.events import MessageEvent
from domain.payload import NAME_LENGTH, Context, Document, is_about_session
from projections import visit
from projections.batch import Batch, Message
from projections.copying import copy
from projections.sessions import campaign, explicit, first
from projections.sessions.tables import session
from projections.visit import first_text

_FIRST = ("channel", "device", "utm")

# All rows as one JSON parameter: one plan, whatever the batch.  LATERAL and OFFSET make it one that asks
# the index for each: on a table that has just grown the planner thinks that reading it all is cheaper.
_KNOWN = text(f"""
SELECT new.id, new.stream FROM json_to_recordset(:rows) AS new(id text, stream uuid)
CROSS JOIN LATERAL (
    SELECT FROM {session} AS known
    WHERE known.workspace = :workspace AND known.stream = new.stream AND known.id = new.id OFFSET 0
) AS known
""")

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


class Visit(msgspec.Struct, gc=False):
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
    visits: dict[tuple[str, UUID], Visit] = {}
    for message in batch.messages():
        session_id = message.document.session_id
        if session_id is not None and message.event.subject is not None:
            _add(visits, session_id, message)
    if not visits:
        return
    keys = [{"id": id_, "stream": stream} for id_, stream in visits]
    known = [visits.pop((id_, stream)) for id_, stream in _execute(tx, _KNOWN, batch, keys)]
    if known:
        _execute(tx, _ADD, batch, known)
    copy(tx, session, (_row(batch.workspace, each) for each in visits.values()))


def _execute(tx: Connection, statement: TextClause, batch: Batch, rows: Sequence[Any]) -> Any:
    document = msgspec.json.encode(rows).decode()
    return tx.execute(statement, {"workspace": batch.workspace, "rows": document})


def _row(workspace: int, it: Visit) -> tuple[Any, ...]:
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


def _add(visits: dict[tuple[str, UUID], Visit], session_id: str, message: Message) -> None:
    recorded, event, document = message
    start, end = explicit.bounds(event, document.properties)
    key = session_id, recorded.stream
    known = visits.get(key)
    if known is None:
        known = visits[key] = Visit(session_id, recorded.stream, start, end)
    elif start < known.started_at:
        known.started_at = start
    known.ended_at = max(known.ended_at, end)
    known.events += 1
    if document.name == "page_view":
        known.pages += 1
    if document.channel is not None:
        known.channel = first.of(known.channel, event, document.channel)
    context = visit.context(document)
    if (device := _device(event, document, context)) is not None:
        known.device = first.of(known.device, event, device)
    if (utm := _utm(event, document, context)) is not None:
        known.utm = first.of(known.utm, event, utm)


# Most messages say nothing of these, and a look at the bytes is enough to know.
def _device(event: MessageEvent, document: Document, context: Context) -> str | None:
    if context.userAgent is None and b"device" not in event.payload:
        return None
    properties = document.properties
    said = first_text(properties.get("device_type"), properties.get("deviceType"))
    if said is not None:
        return said[:NAME_LENGTH]
    shown_by_agent = visit.client(context).device_type
    if shown_by_agent != "unknown":
        return shown_by_agent
    kind = visit.members(context.device).get("type")
    return "mobile" if isinstance(kind, str) and kind.lower() in ("android", "ios") else None


def _utm(event: MessageEvent, document: Document, context: Context) -> str | None:
    if not (context.campaign or b"utm_" in event.payload or is_about_session(event.name)):
        return None
    said = campaign.utm(event.name, document.properties, context)
    return None if said is None else msgspec.json.encode(said, order="sorted").decode()
