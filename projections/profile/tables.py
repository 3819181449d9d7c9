"""Where profiles are kept: by stream, to be joined over the streams of a person when asked for."""

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
    Uuid,
)

from projections.runtime.projection import FOR_QUERIES, schema_name

NAME, VERSION = "profile", 2
"""Raise the version with `domain.profiles.state.FORMAT` too."""

metadata = MetaData(schema=schema_name(NAME, VERSION))

state = Table(
    "state",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("seen_at", DateTime(timezone=True)),
    Column("state", LargeBinary, nullable=False),
)
"""What a stream adds up to: `domain.profiles.state`.

``seen_at`` is when the person was last seen, or else first: null if they never were.
"""

search = Table(
    "search",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("met_at", DateTime(timezone=True), nullable=False),
    Column("words", Text, nullable=False),
    Column("grams", ARRAY(Integer), nullable=False),
)
"""What a stream's person is found by.  Written only when that changes, which is seldom.

``met_at`` is when they were first seen; ``words`` and ``grams`` are as `words.py` makes them.
"""

_s, _f = state.c, search.c
Index("state_by_time", _s.workspace, _s.seen_at.desc(), _s.stream.desc(), info=FOR_QUERIES)
Index("search_by_time", _f.workspace, _f.met_at.desc(), _f.stream.desc(), info=FOR_QUERIES)
Index("search_by_gram", _f.grams, postgresql_using="gin", info=FOR_QUERIES)
