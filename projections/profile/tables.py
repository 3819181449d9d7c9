"""Tables of profiles: a row for each stream; a query merges the rows of a profile's streams."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from projections.kit.columns import stream_key
from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "profile", 3
"""Raise the version when `domain.profiles.state.FORMAT` changes, too."""

metadata = MetaData(schema=schema_name(NAME, VERSION))

state = Table(
    "state",
    metadata,
    *stream_key(),
    Column("last_seen_at", DateTime(timezone=True)),
    Column("state", LargeBinary, nullable=False),
)
"""The folded state of a stream: `domain.profiles.state`.

``last_seen_at`` is the time of the last activity, or else of the first message; null if there was none.
"""

search = Table(
    "search",
    metadata,
    *stream_key(),
    Column("first_seen_at", DateTime(timezone=True), nullable=False),
    Column("terms", Text, nullable=False),
    Column("trigrams", ARRAY(Integer), nullable=False),
)
"""Search terms of a stream.  Written only when they change, which is rare.

``first_seen_at`` is the time of the first message; for ``terms`` and ``trigrams`` see `search_terms`.
"""

_s, _f = state.c, search.c
Index("state_by_time", _s.workspace, _s.last_seen_at.desc(), _s.stream.desc(), info=FOR_QUERIES)
Index("search_by_time", _f.workspace, _f.first_seen_at.desc(), _f.stream.desc(), info=FOR_QUERIES)
Index("search_by_trigram", _f.trigrams, postgresql_using="gin", info=FOR_QUERIES)
