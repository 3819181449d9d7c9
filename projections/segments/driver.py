"""What the driver does faster than SQLAlchemy would: binary cursors, statements over arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection as Driver
from psycopg import Cursor
from sqlalchemy import Connection

from projections.arrays import Uuids


def cursor(tx: Connection) -> Cursor[Any]:
    """Return a cursor that speaks binary."""
    driver = tx.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver.cursor(binary=True)


def each(tx: Connection, sql: str, workspace: int, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement over rows, given as one array for each column."""
    if rows:
        with cursor(tx) as ask:
            ask.execute(sql, (*map(_array, zip(*rows, strict=True)), workspace))


def _array(values: Sequence[Any]) -> list[Any]:
    return Uuids(values) if isinstance(values[0], UUID) else list(values)
