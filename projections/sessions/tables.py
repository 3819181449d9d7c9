"""Table of sessions: a row for each session id and stream."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, MetaData, Table, Text

from projections.kit.columns import stream_key
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "sessions", 1
metadata = MetaData(schema=schema_name(NAME, VERSION))


def _first(name: str) -> Column[Any]:
    return Column(name, Text(collation="C"))


session = Table(
    "session",
    metadata,
    *stream_key(),
    # Compared byte by byte, as Python does, whatever the database's own order is.
    Column("id", Text(collation="C"), primary_key=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("pages", BigInteger, nullable=False),
    _first("channel"),
    _first("device"),
    _first("utm"),
    # Most updates only add to counts: room on the page keeps the indexes out of them.
    postgresql_with={"fillfactor": 70},
)
"""``channel``, ``device`` and ``utm`` are the earliest values: see :mod:`projections.sessions.first_value`."""

_c = session.c
newest_first = (_c.started_at.desc(), _c.stream.desc(), _c.id.desc())
Index("session_by_time", _c.workspace, *newest_first[:2], info=FOR_QUERIES)
Index("session_by_id", _c.workspace, _c.id, info=FOR_QUERIES)
