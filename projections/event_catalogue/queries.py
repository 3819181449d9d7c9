"""Query of the event catalogue: the event names of a workspace, with counts and properties."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import func, select

from domain.core.time import format_utc
from projections.event_catalogue.survey import decode_sample
from projections.event_catalogue.tables import TYPES, day, event_type, property_
from projections.kit import pages
from projections.runtime.ports import Reader
from projections.runtime.projection import Query

DAYS_SHOWN = 30
"""Days shown of an event: the latest days on which it occurred."""


class EventTypeListParams(pages.PageParams):
    """A prefix, and a page of event names."""

    q: str | None = Field(None, description="Beginning of the name, in any case")


class EventProperty(BaseModel):
    """The values seen at one path of an event's properties."""

    path: str = Field(description="As in `where=`, such as properties.items[].type")
    types: dict[str, int] = Field(description="Number of values by JSON type")
    samples: list[Any] = Field(description="Up to 10 short values")
    count: int = Field(description="Number of values seen")


class EventType(BaseModel):
    """An event name, with counts, days and properties."""

    name: str
    kind: str
    count: int
    first_seen: datetime
    last_seen: datetime
    days: dict[date, int] = Field(description="Events a day (UTC), the latest 30 days with any")
    properties: list[EventProperty]


class EventTypeList(BaseModel):
    """A page of event names, in alphabetical order."""

    event_types: list[EventType]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


def list_event_types(reader: Reader, params: EventTypeListParams) -> dict[str, Any]:
    """Returns a page of the event names of the workspace."""
    query = select(event_type, event_type.c.count.label("events")).where(
        event_type.c.workspace == reader.workspace
    )
    if params.q is not None:
        prefix = params.q.replace("\0", "\ufffd")
        query = query.where(func.starts_with(func.lower(event_type.c.name), func.lower(prefix)))
    page, next_cursor = pages.load_page(reader.tx, query, event_type.c.name, params)
    names = [row.name for row in page]
    days, properties = _days(reader, names), _properties(reader, names)
    return {
        "event_types": [
            {
                "name": row.name,
                "kind": row.kind,
                "count": row.events,
                "first_seen": format_utc(row.first_seen),
                "last_seen": format_utc(row.last_seen),
                "days": days[row.name],
                "properties": properties[row.name],
            }
            for row in page
        ],
        "next": next_cursor,
        "projected_to": reader.projected_to,
    }


def _days(reader: Reader, names: Sequence[str]) -> dict[str, dict[str, int]]:
    rank = func.row_number().over(partition_by=day.c.name, order_by=day.c.day.desc())
    ranked = (
        select(day.c.name, day.c.day, day.c.count.label("events"), rank.label("rank"))
        .where(day.c.workspace == reader.workspace, day.c.name.in_(names))
        .subquery()
    )
    latest = select(ranked).where(ranked.c.rank <= DAYS_SHOWN).order_by(ranked.c.name, ranked.c.day)
    days: dict[str, dict[str, int]] = defaultdict(dict)
    for row in reader.tx.execute(latest):
        days[row.name][row.day.isoformat()] = row.events
    return days


def _properties(reader: Reader, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    query = (
        select(property_)
        .where(property_.c.workspace == reader.workspace, property_.c.name.in_(names))
        .order_by(property_.c.name, property_.c.path)
    )
    properties: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in reader.tx.execute(query).mappings():
        types = {kind: row[kind] for kind in TYPES if row[kind]}
        properties[row["name"]].append(
            {
                "path": "properties" + row["path"],
                "types": types,
                "samples": [decode_sample(sample) for sample in row["samples"]],
                "count": sum(types.values()),
            }
        )
    return properties


event_types = Query(
    "/event-types",
    EventTypeListParams,
    EventTypeList,
    list_event_types,
    "List the event names seen, with their properties, types and sample values",
)
