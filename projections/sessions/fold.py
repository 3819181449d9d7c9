"""Applies a batch of messages to their sessions."""

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

# LATERAL and OFFSET force one index lookup for each key: on a table that has just grown the planner
# expects that reading all of it is cheaper.
_STORED_ORDINALS = f"""
SELECT keys.ordinal FROM unnest(%b, %b::text[]) WITH ORDINALITY AS keys (stream, id, ordinal)
CROSS JOIN LATERAL (
    SELECT FROM {session} AS stored
    WHERE stored.workspace = %s AND stored.stream = keys.stream AND stored.id = keys.id OFFSET 0
) AS stored
"""

# All rows as one JSON parameter: one plan, whatever the batch.
_MERGE = text(f"""
INSERT INTO {session} AS stored (workspace, id, stream, started_at, ended_at, events, pages, {", ".join(_FIRST)})
SELECT :workspace, id, stream, started_at, ended_at, events, pages, {", ".join(_FIRST)}
FROM json_to_recordset(:rows) AS input (id text, stream uuid, started_at timestamptz,
    ended_at timestamptz, events bigint, pages bigint, {" text, ".join(_FIRST)} text)
ON CONFLICT (workspace, stream, id) DO UPDATE SET
    started_at = least(stored.started_at, excluded.started_at),
    ended_at = greatest(stored.ended_at, excluded.ended_at),
    events = stored.events + excluded.events,
    pages = stored.pages + excluded.pages,
    {", ".join(f"{field} = least(stored.{field}, excluded.{field})" for field in _FIRST)}
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
    """Adds the batch's messages to their sessions; messages without a session id are skipped.

    No other worker writes the workspace's sessions meanwhile, because the checkpoint is locked.
    """
    visits: list[SessionDelta] = []
    for stream, messages in batch.by_stream().items():
        by_id: dict[str, SessionDelta] = {}
        for message in messages:
            if (session_id := message.document.session_id) is not None:
                _add(by_id, session_id, stream, message)
        visits += by_id.values()
    if not visits:
        return
    keys = Uuids([delta.stream for delta in visits]), [delta.id for delta in visits]
    stored = set(tx.exec_driver_sql(_STORED_ORDINALS, (*keys, batch.workspace)).scalars())
    changed = [delta for ordinal, delta in enumerate(visits, 1) if ordinal in stored]
    if changed:
        rows = msgspec.json.encode(changed).decode()
        tx.execute(_MERGE, {"workspace": batch.workspace, "rows": rows})
    copy_rows(
        tx,
        session,
        (_row(batch.workspace, d) for ordinal, d in enumerate(visits, 1) if ordinal not in stored),
    )


def _row(workspace: int, delta: SessionDelta) -> tuple[Any, ...]:
    return (
        workspace,
        delta.stream,
        delta.id,
        delta.started_at,
        delta.ended_at,
        delta.events,
        delta.pages,
        delta.channel,
        delta.device,
        delta.utm,
    )


def _add(
    visits: dict[str, SessionDelta], session_id: str, stream: UUID, message: DecodedMessage
) -> None:
    _, event, document = message
    start = end = event.occurred_at
    if is_session_event(event.name):
        start, end = explicit.session_bounds(event, document.properties)
    delta = visits.get(session_id)
    if delta is None:
        delta = visits[session_id] = SessionDelta(session_id, stream, start, end)
    elif start < delta.started_at:
        delta.started_at = start
    delta.ended_at = max(delta.ended_at, end)
    delta.events += 1
    if document.name == "page_view":
        delta.pages += 1
    if document.channel is not None:
        delta.channel = first_value.merge_first(delta.channel, event, document.channel)
    context = visit.context_of(document)
    if (device := _device(event, document, context)) is not None:
        delta.device = first_value.merge_first(delta.device, event, device)
    if (utm := _utm(event, document, context)) is not None:
        delta.utm = first_value.merge_first(delta.utm, event, utm)


# Most messages have neither device nor campaign, and a search of the bytes is enough to know.
def _device(event: MessageEvent, document: ParsedMessage, context: MessageContext) -> str | None:
    if context.userAgent is None and b"device" not in event.payload:
        return None
    properties = document.properties
    named = first_text(properties.get("device_type"), properties.get("deviceType"))
    if named is not None:
        return named[:MAX_NAME_LENGTH]
    by_user_agent = visit.client_of(context).device_type
    if by_user_agent != "unknown":
        return by_user_agent
    kind = visit.decode_object(context.device).get("type")
    return "mobile" if isinstance(kind, str) and kind.lower() in ("android", "ios") else None


def _utm(event: MessageEvent, document: ParsedMessage, context: MessageContext) -> str | None:
    if not (context.campaign or b"utm_" in event.payload or is_session_event(event.name)):
        return None
    utm = campaign.utm_parameters(event.name, document.properties, context)
    return None if utm is None else msgspec.json.encode(utm, order="sorted").decode()
