"""Where messages to people are kept: one row for what each stream shows of one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.events.channels import CHANNEL_OUTCOMES, CHANNEL_STEPS
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "channel_funnels", 2
metadata = MetaData(schema=schema_name(NAME, VERSION))

BITS = {it: 1 << place for place, it in enumerate((*CHANNEL_STEPS, *CHANNEL_OUTCOMES))}
"""What each step and outcome is in ``reached``."""

message = Table(
    "message",
    metadata,
    # What has one width comes first: a question about thousands of rows finds it without reading the texts.
    Column("workspace", Integer, primary_key=True),
    Column("reached", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("low", SmallInteger, nullable=False),
    Column("by_user", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    *(Column(it, BigInteger) for it in CHANNEL_STEPS),
    # Compared byte by byte, as Python does, whatever the database's own order is.
    Column("campaign", Text(collation="C"), nullable=False),
    Column("channel", Text(collation="C"), nullable=False),
    Column("message", Text(collation="C")),
    Column("template", Text(collation="C")),
    Column("outcomes", JSONB, nullable=False),
    # Most updates only add a time: room on the page keeps the indexes out of them.
    postgresql_with={"fillfactor": 80},
)
"""``id`` stands for campaign, channel and message.  ``message`` is null of what names none: such are one
for each stream.  ``by_user``: the stream is that of a user id, which only a merge makes somebody else's.
``shared``: other streams show something of this message too.

Times are microseconds since 1970 UTC, each the earliest that was seen, and ``first_at`` the earliest of
all.  ``reached`` has the `BITS` of the steps up to the furthest and of the other outcomes, and ``low`` is
the step, from 1, before which none is taken, as far as this stream knows.
"""

_c = message.c
Index("message_by_campaign", _c.workspace, _c.campaign, _c.first_at, info=FOR_QUERIES)
Index("message_by_time", _c.workspace, _c.first_at, info=FOR_QUERIES)
Index(
    "message_odd",
    _c.workspace,
    _c.shared,  # few, while those of nobody's user may be most of all
    _c.campaign,
    postgresql_where=_c.shared | ~_c.by_user,
    info=FOR_QUERIES,
)
Index("message_by_stream", _c.workspace, _c.stream, info=FOR_QUERIES)
Index(
    "message_by_template",
    _c.workspace,
    _c.template,
    _c.first_at,
    postgresql_where=text("template IS NOT NULL"),
    info=FOR_QUERIES,
)
