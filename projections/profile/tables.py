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

from projections.base import schema

NAME, VERSION = "profile", 2
"""Raise the version with `domain.profile_state.FORMAT` too."""

metadata = MetaData(schema=schema(NAME, VERSION))

state = Table(
    "state",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("seen_at", DateTime(timezone=True)),
    Column("state", LargeBinary, nullable=False),
)
"""What a stream adds up to: `domain.profile_state`.

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

Index("state_by_time", state.c.workspace, state.c.seen_at.desc(), state.c.stream.desc())
Index("search_by_time", search.c.workspace, search.c.met_at.desc(), search.c.stream.desc())
Index("search_by_gram", search.c.grams, postgresql_using="gin")
