"""Write many rows at once: the binary COPY of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg.adapt import PyFormat
from sqlalchemy import ARRAY, Connection, Table
from sqlalchemy.dialects.postgresql import JSONB

_JSONB_VERSION = b"\x01"
_BYTES = psycopg.adapters.get_dumper(bytes, PyFormat.BINARY)


def jsonb(document: bytes) -> bytes:
    """Return JSON text as the binary COPY of a ``jsonb`` column wants it."""
    return _JSONB_VERSION + document


def binary_cursor(tx: Connection) -> psycopg.Cursor[Any]:
    """Return a cursor that is answered in binary: at half the cost of text."""
    driver = tx.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver.cursor(binary=True)


def copy_rows(tx: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Copy the rows into the table, values in the order of its columns.

    Runs in the transaction of ``tx``.  Values of ``jsonb`` columns are what :func:`jsonb` returns, those of
    arrays what :mod:`projections.kit.arrays` packs.
    """
    preparer = tx.dialect.identifier_preparer
    columns = ", ".join(preparer.format_column(column) for column in table.columns)
    sql = f"COPY {preparer.format_table(table)} ({columns}) FROM STDIN (FORMAT BINARY)"
    types = [_wire_type(tx, column.type) for column in table.columns]
    driver = tx.connection.driver_connection
    assert driver is not None
    cursor = driver.cursor()
    cursor.adapters.register_dumper(
        bytes, _BYTES
    )  # by default that of a wrapper, written in Python
    with cursor, cursor.copy(sql) as stream:
        stream.set_types(types)
        for row in rows:
            stream.write_row(row)


def _wire_type(tx: Connection, kind: Any) -> str:
    # Declared as bytea, bytes go out as they are; the server reads them by the column's own type.
    if isinstance(kind, (JSONB, ARRAY)):
        return "bytea"
    name: str = kind.compile(tx.dialect).lower()
    return name.partition(" collate ")[0]
