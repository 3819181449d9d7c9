"""Tables of identity: links and decisions, and the profiles that follow from them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, Integer, MetaData, Table, Text, Uuid

from projections.kit.columns import stream_key, workspace_key
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "identity", 4
metadata = MetaData(schema=schema_name(NAME, VERSION))

link = Table(
    "link",
    metadata,
    *stream_key(),
    Column("other", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("inactive", Boolean, nullable=False),
    Column("counts_for_stream", Boolean),
    Column("counts_for_other", Boolean),
)
"""Two identifiers, by their streams, that appeared together, and when they first did.

``counts_for_stream`` says whether the link is among the first claims of ``stream``, so many as count (see
`domain.identity.claims`); null if it is no claim of that one.  A link that does not count is inactive.

``inactive`` links merge nothing (see `domain.identity.resolution.Resolution`), and are not followed: the ten
thousand users of one device need not be loaded whenever one of them does something.
"""

decision = Table(
    "decision",
    metadata,
    *stream_key(),
    Column("other", Uuid, primary_key=True),
    # The event of the decision: several may decide the same, and each can be erased.
    Column("event", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("is_merge", Boolean, nullable=False),
    Column("policy", Text, nullable=False),
    Column("certain", Boolean, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("other_kind", Text, nullable=False),
    Column("other_value", Text, nullable=False),
)
"""``stream`` absorbs ``other`` (an alias or merge: ``is_merge``), or is separated from it (an unmerge)."""

member = Table(
    "member",
    metadata,
    *stream_key(),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("profile_id", Uuid, nullable=False),
    Column("guessed", Boolean, nullable=False),
    Column("demoted_at", DateTime(timezone=True)),
    Column("capped", Boolean, nullable=False),
)
"""Every identifier that appears in a fact, and its profile: ``profile_id`` is the canonical stream.

For ``guessed`` and ``demoted_at`` see `domain.identity.resolution.Component`.  ``capped``: it has more claims than count.
"""

large_profile = Table(
    "large_profile",
    metadata,
    workspace_key(),
    Column("profile_id", Uuid, primary_key=True),
    Column("identifiers", Integer, nullable=False),
)
"""Profiles with at least `domain.identity.resolution.LARGE_COMPONENT` identifiers."""

Index("link_by_other", link.c.workspace, link.c.other)
Index("link_active", link.c.workspace, link.c.stream, postgresql_where=~link.c.inactive)
for _side in ("stream", "other"):
    _counts = link.c[f"counts_for_{_side}"]
    Index(f"link_claim_of_{_side}", link.c.workspace, link.c[_side], postgresql_where=_counts)
    Index(f"link_capped_by_{_side}", link.c.workspace, link.c[_side], postgresql_where=~_counts)
Index("member_capped", member.c.workspace, member.c.profile_id, postgresql_where=member.c.capped)
Index("decision_by_other", decision.c.workspace, decision.c.other)
# Queries that look up which of thousands of streams belong to another profile read these indexes alone.
Index(
    "member_absorbed",
    member.c.workspace,
    member.c.stream,
    postgresql_include=["profile_id"],
    postgresql_where=member.c.profile_id != member.c.stream,
    info=FOR_QUERIES,
)
Index(
    "member_merged",
    member.c.workspace,
    member.c.stream,
    postgresql_include=["profile_id"],
    postgresql_where=(member.c.profile_id != member.c.stream) & (member.c.kind == "user_id"),
    info=FOR_QUERIES,
)
Index("member_by_profile", member.c.workspace, member.c.profile_id)
