"""Where it is kept who is in which segment, and what has to be remembered to tell.

Instants are microseconds since 1970 UTC, on the ledger's clock, so that they compare as conditions do.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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

NAME, VERSION = "segments", 1
metadata = MetaData(schema=schema(NAME, VERSION))

definition = Table(
    "definition",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("segment", Text(collation="C"), primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("archived", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("condition", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""All that was ever decided about segments.

``until`` is the position of the next decision about the segment, null in the one that is in effect.
"""

stream = Table(
    "stream",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("person", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("guessed", Boolean, nullable=False),
    Column("demoted_at", DateTime(timezone=True)),
    Column("first_at", BigInteger),
)
"""Whose each stream is, as of this read model's position; ``first_at`` is when its first message
occurred, null if there is none: see `domain.membership`.
"""

memory = Table(
    "memory",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    # A digest of its key, which may be longer than an index takes.
    Column("memory", BigInteger, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
"""What is remembered of each stream: see `domain.memories`."""

stay = Table(
    "stay",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("segment", Text(collation="C"), primary_key=True),
    Column("person", Uuid, primary_key=True),
    Column("entered_at", BigInteger, primary_key=True),
    Column("entered_by", BigInteger, primary_key=True),
    Column("left_at", BigInteger),
    Column("left_by", BigInteger),
)
"""Who was in which segment from when to when; ``left_at`` is null of those who are in it.

``_by`` is the position of what did it, 0 if only time did.
"""

timer = Table(
    "timer",
    metadata,
    Column("workspace", Integer, primary_key=True),
    Column("person", Uuid, primary_key=True),
    Column("segment", Text(collation="C"), primary_key=True),
    Column("due", BigInteger, nullable=False),
)
"""When an answer may change by itself."""

Index("stream_by_person", stream.c.workspace, stream.c.person)
Index("memory_by_memory", memory.c.workspace, memory.c.memory)
_now = stay.c.left_at.is_(None)
Index(
    "stay_now",
    stay.c.workspace,
    stay.c.segment,
    stay.c.entered_at.desc(),
    stay.c.person.desc(),
    postgresql_where=_now,
)
Index("stay_by_person", stay.c.workspace, stay.c.person, stay.c.segment)
Index("timer_by_due", timer.c.workspace, timer.c.due)
Index(
    "definition_in_effect",
    definition.c.workspace,
    definition.c.segment,
    postgresql_where=definition.c.until.is_(None),
)
