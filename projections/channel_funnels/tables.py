"""Tables of channel funnels: a row for each message and stream that reported it."""

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
from projections.kit.columns import workspace_key
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "channel_funnels", 3
metadata = MetaData(schema=schema_name(NAME, VERSION))

BITS = {name: 1 << bit for bit, name in enumerate((*CHANNEL_STEPS, *CHANNEL_OUTCOMES))}
"""Bit of each step and outcome in ``reached_bits``."""

message = Table(
    "message",
    metadata,
    # Columns of fixed width come first: a query of thousands of rows reads them without the texts.
    workspace_key(),
    Column("reached_bits", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("id", Uuid, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("implied_from", SmallInteger, nullable=False),
    Column("by_user", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    *(Column(step, BigInteger) for step in CHANNEL_STEPS),
    # Compared byte by byte, as Python does, whatever the database's own order is.
    Column("campaign", Text(collation="C"), nullable=False),
    Column("channel", Text(collation="C"), nullable=False),
    Column("message", Text(collation="C")),
    Column("template", Text(collation="C")),
    Column("outcomes", JSONB, nullable=False),
    # Most updates only add a time: room on the page keeps the indexes out of them.
    postgresql_with={"fillfactor": 80},
)
"""``id`` is a digest of campaign, channel and message.  ``message`` is null for events that name none:
these are one message for each stream.  ``by_user``: the stream is that of a user id, which only a merge
gives to another profile.  ``shared``: other streams have reported this message too.

Times are microseconds since 1970 UTC, each the earliest that was reported; ``first_at`` is the earliest
of all.  ``reached_bits`` has the `BITS` of the steps up to the furthest and of the other outcomes.
``implied_from`` is the step, from 1, before which none was taken, as far as this stream has reported.
"""

_c = message.c
Index("message_by_campaign", _c.workspace, _c.campaign, _c.first_at, info=FOR_QUERIES)
Index("message_by_time", _c.workspace, _c.first_at, info=FOR_QUERIES)
Index(
    "message_shared_or_anonymous",
    _c.workspace,
    _c.shared,  # few, while those of anonymous streams may be most of all
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
