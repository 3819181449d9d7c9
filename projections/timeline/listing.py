"""Pages of the timeline: which rows, in which order, and how an event is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from sqlalchemy import ColumnElement, Row, Text, cast, literal, literal_column, select, tuple_

from projections import cursors
from projections.base import Reader
from projections.instants import shown
from projections.timeline.tables import timeline

AnyRow = Row[*tuple[Any, ...]]

_c = timeline.c
SHOWN = select(
    _c.id,
    _c.position,
    _c.message_id,
    _c.kind,
    _c.name,
    _c.stream,
    _c.subject,
    _c.occurred_at,
    _c.received_at,
    _c.recorded_at,
    _c.channel,
    _c.session_id,
    _c.source,
    # As text: it goes out as the server wrote it, with no round through Python.
    cast(_c.properties, Text).label("document"),
)


def page(
    reader: Reader,
    noun: str,
    conditions: Sequence[ColumnElement[bool]],
    cursor: str | None,
    limit: int,
) -> dict[str, Any]:
    """Answer one page of events that meet the conditions, newest first.

    Raises InvalidRequest for a cursor that is none of ours.
    """
    wanted = SHOWN.where(_c.workspace == reader.workspace, *conditions)
    if cursor is not None:
        place = (literal(it) for it in cursors.event(cursor))
        wanted = wanted.where(tuple_(_c.occurred_at, _c.position) < tuple_(*place))
    newest_first = wanted.order_by(_c.occurred_at.desc(), _c.position.desc())
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all.
    rows: Sequence[AnyRow] = reader.tx.execute(
        newest_first.limit(literal_column(str(limit + 1)))
    ).all()
    return {
        noun: [event(row) for row in rows[:limit]],
        "next": _next(rows, limit),
        "projected_to": reader.projected_to,
    }


def event(row: AnyRow) -> dict[str, Any]:
    """Return one row as lists show it."""
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
    ) = row
    return {
        "id": id_,
        "position": position,
        "message_id": message_id,
        "kind": kind,
        "name": name,
        "profile_id": None if subject is None else stream,
        "occurred_at": shown(occurred_at),
        "received_at": shown(received_at),
        "recorded_at": shown(recorded_at),
        "channel": channel,
        "session_id": session_id,
        "source": source,
        "properties": Raw(document.encode()),
    }


def _next(rows: Sequence[AnyRow], limit: int) -> str | None:
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    return cursors.after_event(last.occurred_at, last.position)
