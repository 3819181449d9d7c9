"""Writes many rows at once with PostgreSQL's binary COPY."""

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
    """Returns JSON text in the binary format of ``jsonb``, for COPY."""
    return _JSONB_VERSION + document


def copy_rows(tx: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Copies rows into a table, values in the order of its columns.

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
    )  # the default one goes through a wrapper that is written in Python
    with cursor, cursor.copy(sql) as stream:
        stream.set_types(types)
        for row in rows:
            stream.write_row(row)


def _wire_type(tx: Connection, kind: Any) -> str:
    # Declared as bytea, bytes are sent as they are; the server reads them as the column's own type.
    if isinstance(kind, (JSONB, ARRAY)):
        return "bytea"
    name: str = kind.compile(tx.dialect).lower()
    return name.partition(" collate ")[0]
