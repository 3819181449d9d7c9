"""Pages of the timeline: selection and order of the rows, and the JSON of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Raw
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Text,
    Uuid,
    cast,
    func,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from projections.kit import cursors
from projections.kit.pages import PageParams
from projections.runtime.ports import IdentityPort
from projections.timeline.tables import timeline

AnyRow = Row[*tuple[Any, ...]]

_c = timeline.c


def _utc_text(instant: ColumnElement[datetime], label: str) -> ColumnElement[str]:
    """Returns an instant as `format_utc` writes it: the database does so in a fifth of the time."""
    return func.to_char(func.timezone("UTC", instant), _RFC_3339).label(label)


_RFC_3339 = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
EVENT_COLUMNS = select(
    _c.id,
    _c.position,
    _c.message_id,
    _c.kind,
    _c.name,
    _c.stream,
    _c.subject,
    _utc_text(_c.occurred_at, "occurred"),
    _utc_text(_c.received_at, "received"),
    _utc_text(_c.recorded_at, "recorded"),
    _c.channel,
    _c.session_id,
    _c.source,
    # As text: it is sent as the database wrote it, without decoding it in Python.
    cast(_c.properties, Text).label("document"),
    _c.occurred_at,
    _c.ordinal,
)
_STREAM = [column.key for column in EVENT_COLUMNS.selected_columns].index(_c.stream.key)
_SORT_COLUMNS = (_c.occurred_at, _c.position, _c.ordinal)


def list_page(
    reader: IdentityPort,
    noun: str,
    conditions: Sequence[ColumnElement[bool]],
    params: PageParams,
    streams: Sequence[UUID] | None = None,
) -> dict[str, Any]:
    """Returns a page of events that match the conditions, newest first.

    Raises InvalidRequest for an invalid cursor.
    """
    limit = params.limit
    rows = reader.tx.execute(_newest(reader, conditions, params, streams)).all()
    profile_ids = reader.profile_ids({row[_STREAM] for row in rows[:limit]})
    return {
        noun: [event_json(row, profile_ids) for row in rows[:limit]],
        "next": _next(rows, limit),
        "projected_to": reader.projected_to,
    }


def _newest(
    reader: IdentityPort,
    conditions: Sequence[ColumnElement[bool]],
    params: PageParams,
    streams: Sequence[UUID] | None,
) -> Select[Any]:
    """Returns the query of the newest events, one more than the page shows."""
    query = EVENT_COLUMNS.where(_c.workspace == reader.workspace, *conditions)
    if params.cursor is not None:
        position = (literal(part) for part in cursors.decode_event(params.cursor))
        query = query.where(tuple_(*_SORT_COLUMNS) < tuple_(*position))
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all rows.
    limit: ColumnElement[int] = literal_column(str(params.limit + 1))
    if streams is None:
        return query.order_by(*_newest_first(_c)).limit(limit)
    if len(streams) == 1:
        return query.where(_c.stream == streams[0]).order_by(*_newest_first(_c)).limit(limit)
    # The newest of each stream, by its index; together they would have to be sorted.
    stream_ids = select(func.unnest(cast(list(streams), ARRAY(Uuid))).label("stream")).subquery()
    newest_of_stream = (
        query.where(_c.stream == stream_ids.c.stream).order_by(*_newest_first(_c)).limit(limit)
    )
    per_stream = newest_of_stream.lateral("per_stream")
    return (
        select(*per_stream.c)
        .select_from(stream_ids)
        .join(per_stream, true())
        .order_by(*_newest_first(per_stream.c))
        .limit(limit)
    )


def _newest_first(columns: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    return [columns[column.key].desc() for column in _SORT_COLUMNS]


def event_json(row: AnyRow, profile_ids: Mapping[UUID, UUID]) -> dict[str, Any]:
    """Returns one row as lists show it; ``profile_ids`` are the ids of profiles by stream."""
    (
        id_,
        position,
        message_id,
        kind,
        name,
        stream,
        subject,
        occurred_at,
        received_at,
        recorded_at,
        channel,
        session_id,
        source,
        document,
        *_,
    ) = row
    return {
        "id": id_,
        "position": position,
        "message_id": message_id,
        "kind": kind,
        "name": name,
        "profile_id": None if subject is None else profile_ids[stream],
        "occurred_at": occurred_at,
        "received_at": received_at,
        "recorded_at": recorded_at,
        "channel": channel,
        "session_id": session_id,
        "source": source,
        "properties": Raw(document.encode()),
    }


def _next(rows: Sequence[AnyRow], limit: int) -> str | None:
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return cursors.encode_event(last.occurred_at, last.position, last.ordinal)
