"""Read models for examples that each have a workspace of their own."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine

MOVES_WITH_ORDER = ("position", "recorded_at", "first_seen_position", "backfilled_to")


def unsynced(dsn: str) -> Engine:
    """Connections that do not wait for the disk: nothing here outlives the test."""
    return create_engine(
        dsn.replace("postgresql://", "postgresql+psycopg://", 1),
        connect_args={"options": "-c synchronous_commit=off"},
    )
