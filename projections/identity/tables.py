"""Where it is kept who is who: what was said about it, and what that comes to."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text, Uuid

from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "identity", 2
metadata = MetaData(schema=schema_name(NAME, VERSION))

link = Table(
    "link",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("other", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("idle", Boolean, nullable=False),
)
"""Two identifiers, by their streams, that were shown together, and when they first were.

``idle`` is as `domain.identity.resolution.Resolution` says: ten thousand users of one device are not ten thousand
names to be looked at whenever one of them does something.
"""

decision = Table(
    "decision",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("other", Uuid, primary_key=True),
    # The event that says so: more than one may say the same, and each can be erased.
    Column("event", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("joins", Boolean, nullable=False),
    Column("policy", Text, nullable=False),
    Column("certain", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("other_kind", Text, nullable=False),
    Column("other_value", Text, nullable=False),
)
"""``stream`` absorbs ``other`` (an alias or merge: ``joins``), or is kept apart from it (an unmerge)."""

member = Table(
    "member",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("person", Uuid, nullable=False),
    Column("guessed", Boolean, nullable=False),
    Column("demoted_at", DateTime(timezone=True)),
)
"""Each identifier that anything was said about, and whose it is: ``person`` is the canonical stream.

``guessed`` and ``demoted_at`` are as `domain.identity.resolution.Component` says.
"""

large = Table(
    "large",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("person", Uuid, primary_key=True),
    Column("identifiers", Integer, nullable=False),
)
"""The persons that have more names than anybody has: see `domain.identity.resolution.LARGE`."""

Index("link_by_other", link.c.workspace, link.c.other)
Index("link_awake", link.c.workspace, link.c.stream, postgresql_where=~link.c.idle)
Index("decision_by_other", decision.c.workspace, decision.c.other)
# Who of thousands of streams is somebody else is asked of these indexes alone.
Index(
    "member_absorbed",
    member.c.workspace,
    member.c.stream,
    postgresql_include=["person"],
    postgresql_where=member.c.person != member.c.stream,
    info=FOR_QUERIES,
)
Index(
    "member_merged",
    member.c.workspace,
    member.c.stream,
    postgresql_include=["person"],
    postgresql_where=(member.c.person != member.c.stream) & (member.c.kind == "user_id"),
    info=FOR_QUERIES,
)
Index("member_by_person", member.c.workspace, member.c.person)
