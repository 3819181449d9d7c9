"""Tables of the timeline: a row for each message, and for each event derived from one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from projections.kit.columns import stream_key, workspace_key
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "timeline", 4
metadata = MetaData(schema=schema_name(NAME, VERSION))

MESSAGE, PROFILE_CREATED, IDENTITY_CHANGED, FIRST_OBSERVATION = 0, 1, 2, 3
"""Ordinals of rows at one position: the message, person_created, a merge or unmerge, and from
``FIRST_OBSERVATION`` on the events derived from the message's observations.
"""

timeline = Table(
    "event",
    metadata,
    workspace_key(),
    Column("position", BigInteger, primary_key=True),
    # In the key only because a table that is distributed over several servers is distributed by it.
    Column("stream", Uuid, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("subject", Text),
    Column("message_id", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("channel", Text),
    Column("session_id", Text),
    Column("properties", JSONB, nullable=False),
    Column("page_view", JSONB),
)
"""``ordinal`` distinguishes a message from the events derived from it, which have the same position.
``subject`` is the kind of identifier that owns the stream; null for a system event.
"""

_c = timeline.c
_newest_first = (_c.occurred_at.desc(), _c.position.desc(), _c.ordinal.desc())
Index("event_by_time", _c.workspace, *_newest_first, info=FOR_QUERIES)
Index("event_by_name", _c.workspace, _c.name, *_newest_first, info=FOR_QUERIES)
Index("event_by_stream", _c.workspace, _c.stream, *_newest_first, info=FOR_QUERIES)
Index("event_by_id", _c.workspace, _c.id, info=FOR_QUERIES)
Index(
    "event_by_session",
    _c.workspace,
    _c.session_id,
    *_newest_first,
    postgresql_where=_c.session_id.is_not(None),
    info=FOR_QUERIES,
)

first_message = Table(
    "first_message",
    metadata,
    *stream_key(),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("id", Uuid, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""First message of each stream, from which person_created is derived."""

observation = Table(
    "observation",
    metadata,
    *stream_key(),
    # Compared byte by byte, as Python does, whatever the database's own order is.
    Column("field", Text(collation="C"), primary_key=True),
    Column("occurred_at", DateTime(timezone=True), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("value", JSONB, nullable=False),
)
"""The value that a message gave to a field: see :mod:`projections.timeline.facts`."""
