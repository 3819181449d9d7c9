"""Pages of the timeline: which rows, in which order, and how an event is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
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
from projections.runtime.projection import Reader
from projections.timeline.tables import timeline

AnyRow = Row[*tuple[Any, ...]]

_c = timeline.c


def _utc_text(moment: ColumnElement[datetime], label: str) -> ColumnElement[str]:
    """Return an instant as `instants.shown` writes it: the server does so in a fifth of the time."""
    return func.to_char(func.timezone("UTC", moment), _RFC_3339).label(label)


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
    # As text: it goes out as the server wrote it, with no round through Python.
    cast(_c.properties, Text).label("document"),
    _c.occurred_at,
    _c.ordinal,
)
_STREAM = [it.key for it in EVENT_COLUMNS.selected_columns].index(_c.stream.key)
_SORT_COLUMNS = (_c.occurred_at, _c.position, _c.ordinal)


class PageRequest(Protocol):
    """What was asked about the page."""

    cursor: str | None
    limit: int


def list_page(
    reader: Reader,
    noun: str,
    conditions: Sequence[ColumnElement[bool]],
    params: PageRequest,
    streams: Sequence[UUID] | None = None,
) -> dict[str, Any]:
    """Answer one page of events that meet the conditions, newest first; of these streams, or of all.

    Raises InvalidRequest for a cursor that is none of ours.
    """
    limit = params.limit
    rows = reader.tx.execute(_newest(reader, conditions, params, streams)).all()
    people = reader.profile_ids({row[_STREAM] for row in rows[:limit]})
    return {
        noun: [event_json(row, people) for row in rows[:limit]],
        "next": _next(rows, limit),
        "projected_to": reader.projected_to,
    }


def _newest(
    reader: Reader,
    conditions: Sequence[ColumnElement[bool]],
    params: PageRequest,
    streams: Sequence[UUID] | None,
) -> Select[Any]:
    """Return the query of the newest events, one more than the page will show."""
    wanted = EVENT_COLUMNS.where(_c.workspace == reader.workspace, *conditions)
    if params.cursor is not None:
        place = (literal(it) for it in cursors.decode_event(params.cursor))
        wanted = wanted.where(tuple_(*_SORT_COLUMNS) < tuple_(*place))
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all.
    most: ColumnElement[int] = literal_column(str(params.limit + 1))
    if streams is None:
        return wanted.order_by(*_newest_first(_c)).limit(most)
    if len(streams) == 1:
        return wanted.where(_c.stream == streams[0]).order_by(*_newest_first(_c)).limit(most)
    # The newest of each stream, by its index; all at once they would have to be sorted.
    theirs = select(func.unnest(cast(list(streams), ARRAY(Uuid))).label("stream")).subquery()
    of_one = wanted.where(_c.stream == theirs.c.stream).order_by(*_newest_first(_c)).limit(most)
    each = of_one.lateral("each")
    return (
        select(*each.c)
        .select_from(theirs)
        .join(each, true())
        .order_by(*_newest_first(each.c))
        .limit(most)
    )


def _newest_first(columns: ReadOnlyColumnCollection[str, Any]) -> list[ColumnElement[Any]]:
    return [columns[it.key].desc() for it in _SORT_COLUMNS]


def event_json(row: AnyRow, profile_ids: Mapping[UUID, UUID]) -> dict[str, Any]:
    """Return one row as lists show it; ``people`` has the id of the person whose stream it is."""
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
