"""Tables of builds: rebuilds and verifications of read models, and their progress."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

BuildKind = Literal["rebuild", "verify"]
"""Whether the shadow tables replace the live tables, or are compared with them."""

BuildState = Literal["asked", "running", "cancelled", "failed", "done"]

SCHEMA = "projections"
"""Schema of the checkpoints and builds of all read models."""

metadata = MetaData(schema=SCHEMA)

build = Table(
    "build",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("begun", Boolean, nullable=False, server_default=text("false")),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("leased_until", DateTime(timezone=True)),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("run_at", DateTime(timezone=True)),
    Column("run_from", BigInteger),
    Column("finished_at", DateTime(timezone=True)),
    Column("failure", Text),
    Column("result", JSONB),
)
"""``begun``: the shadow tables exist and are built up to the positions.  ``fence`` counts the leases so far.
``run_at`` and ``run_from``: when the current run started, and after how many events."""

build_position = Table(
    "build_position",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("workspace", Integer, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
