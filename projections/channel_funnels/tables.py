"""Where messages to people are kept: one row for what each stream shows of one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.channels import STEPS
from projections.base import FOR_QUERIES, schema

NAME, VERSION = "channel_funnels", 1
metadata = MetaData(schema=schema(NAME, VERSION))

message = Table(
    "message",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("by_user", Boolean, nullable=False),
    # Compared byte by byte, as Python does, whatever the database's own order is.
    Column("campaign", Text(collation="C"), nullable=False),
    Column("channel", Text(collation="C"), nullable=False),
    Column("message", Text(collation="C")),
    Column("template", Text(collation="C")),
    Column("shared", Boolean, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    *(Column(it, BigInteger) for it in STEPS),
    Column("others", Integer, nullable=False),
    Column("outcomes", JSONB, nullable=False),
    # Most updates only add a time: room on the page keeps the indexes out of them.
    postgresql_with={"fillfactor": 80},
)
"""``id`` stands for campaign, channel and message.  ``message`` is null of what names none: such are one
for each stream.  ``by_user``: the stream is that of a user id, which only a merge makes somebody else's.  ``shared``: other streams show something of this message too.

Times are microseconds since 1970 UTC, each the earliest that was seen, and ``first_at`` the earliest of
all.  ``others`` has a bit for each of ``outcomes``, by its place in `domain.channels.OUTCOMES`.
"""

_c = message.c
Index("message_by_campaign", _c.workspace, _c.campaign, _c.first_at, info=FOR_QUERIES)
Index("message_by_time", _c.workspace, _c.first_at, info=FOR_QUERIES)
Index("message_shared", _c.workspace, _c.campaign, postgresql_where=_c.shared, info=FOR_QUERIES)
Index("message_by_stream", _c.workspace, _c.stream, info=FOR_QUERIES)
Index(
    "message_by_template",
    _c.workspace,
    _c.template,
    _c.first_at,
    postgresql_where=text("template IS NOT NULL"),
    info=FOR_QUERIES,
)
