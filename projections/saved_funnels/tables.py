"""Table of saved funnels."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

from projections.kit.columns import workspace_key
from projections.runtime.projection import schema_name

NAME, VERSION = "funnels", 1
metadata = MetaData(schema=schema_name(NAME, VERSION))

funnel = Table(
    "funnel",
    metadata,
    workspace_key(),
    Column("id", Text(collation="C"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("version", Integer, nullable=False),
    Column("archived", Boolean, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
"""``document`` is the funnel as JSON; ``position`` is that of the latest decision about it."""
