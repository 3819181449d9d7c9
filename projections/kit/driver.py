"""Faster paths to PostgreSQL than SQLAlchemy's: binary cursors, arrays, pipelines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socket import AF_UNIX, SO_SNDBUF, SOL_SOCKET, socket
from typing import Any, TypeVar

from psycopg import Connection as Driver
from psycopg import Cursor
from sqlalchemy import Connection, Table

from projections.kit.arrays import pack_array

T = TypeVar("T")

SEND_BUFFER_BYTES = 4 * 1024 * 1024
"""Size requested for the socket's send buffer, in bytes; the system may grant less."""

FLUSH_INTERVAL = 20
"""Values after which buffered statements are sent to the server."""


def binary_cursor(tx: Connection) -> Cursor[Any]:
    """Returns a psycopg cursor that receives values in binary form."""
    return _psycopg_connection(tx).cursor(binary=True)


def execute_with_arrays(
    tx: Connection, sql: str, workspace: int, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Executes a statement over rows that are sent as arrays, one for each column.

    The parameters of the statement are the arrays in order (``%b``), then the workspace (``%s``).
    """
    if rows:
        with binary_cursor(tx) as cursor:
            cursor.execute(sql, (*map(pack_array, zip(*rows, strict=True)), workspace))


def insert_rows(tx: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Inserts rows, values in the order of the table's columns; unlike COPY, in a pipeline too."""
    if rows:
        types = (
            column.type.compile(tx.dialect).partition(" COLLATE")[0] for column in table.columns
        )
        arrays = ", ".join(f"%b::{type_}[]" for type_ in types)
        with binary_cursor(tx) as cursor:
            cursor.execute(
                f"INSERT INTO {table} SELECT * FROM unnest({arrays})",
                [*map(pack_array, zip(*rows, strict=True))],
            )


@contextmanager
def pipeline(tx: Connection) -> Iterator[None]:
    """Lets the server execute statements while the next ones are prepared.

    The error of a statement is raised by a later one, at the latest at the end.  COPY is not possible
    inside.
    """
    driver = _psycopg_connection(tx)
    with socket(fileno=os.dup(driver.pgconn.socket)) as connection_socket:
        # The default buffer of a Unix socket is smaller than one statement: sending would wait for the server.
        if connection_socket.family == AF_UNIX:
            connection_socket.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)
    with driver.pipeline():
        yield


def slices_with_flush(tx: Connection, values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yields values in short slices, and sends the server what is still buffered before each."""
    flush = _psycopg_connection(tx).pgconn.flush
    for start in range(0, len(values), FLUSH_INTERVAL):
        flush()
        yield values[start : start + FLUSH_INTERVAL]


def _psycopg_connection(tx: Connection) -> Driver[Any]:
    driver = tx.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver
