"""Tables of the event catalogue: event names, their days, their properties."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Date, DateTime, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from projections.runtime.projection import schema_name

NAME, VERSION = "event_catalogue", 1
metadata = MetaData(schema=schema_name(NAME, VERSION))

# Every batch rewrites a few rows of these: room on the page keeps the indexes out of it.
_ROOM = {"fillfactor": 60}


def _key(name: str, kind: type[Text | Date | Integer] = Text) -> Column[Any]:
    # Compared byte by byte, as Python does, whatever the database's own order is.
    return Column(name, Text(collation="C") if kind is Text else kind(), primary_key=True)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


event_type = Table(
    "event_type",
    metadata,
    _key("workspace", Integer),
    _key("name"),
    Column("kind", Text(collation="C"), nullable=False),
    Column("first_seen", DateTime(timezone=True), nullable=False),
    Column("last_seen", DateTime(timezone=True), nullable=False),
    _count("count"),
    postgresql_with=_ROOM,
)
"""``kind`` is the alphabetically first if calls of several kinds share the name."""

day = Table(
    "day",
    metadata,
    _key("workspace", Integer),
    _key("name"),
    _key("day", Date),
    _count("count"),
    postgresql_with=_ROOM,
)
"""Events of each name by the UTC day on which they occurred."""

TYPES = ("string", "number", "boolean", "null", "object", "array")
"""The types of JSON.  Each is a column of ``property``: the number of values of the type."""

property_ = Table(
    "property",
    metadata,
    _key("workspace", Integer),
    _key("name"),
    _key("path"),
    *(_count(kind) for kind in TYPES),
    Column("samples", ARRAY(Text(collation="C")), nullable=False),
    postgresql_with=_ROOM,
)
"""Values seen at each path.  For ``samples`` see :mod:`projections.event_catalogue.survey`."""
