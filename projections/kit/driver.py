"""What the driver does faster than SQLAlchemy would: binary cursors, statements over arrays, many at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from socket import AF_UNIX, SO_SNDBUF, SOL_SOCKET, socket
from typing import Any, TypeVar

from psycopg import Connection as Driver
from psycopg import Cursor
from sqlalchemy import Connection, Table

from projections.kit.arrays import pack_array

T = TypeVar("T")

SEND_BUFFER_BYTES = 4 * 1024 * 1024
"""Bytes that may be on the way to the server; the system may allow less."""

FLUSH_INTERVAL = 20
"""Values between which nothing is sent."""


def binary_cursor(tx: Connection) -> Cursor[Any]:
    """Return a cursor that speaks binary."""
    return _psycopg_connection(tx).cursor(binary=True)


def execute_with_arrays(
    tx: Connection, sql: str, workspace: int, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Run a statement over rows, given as one array for each column."""
    if rows:
        with binary_cursor(tx) as ask:
            ask.execute(sql, (*map(pack_array, zip(*rows, strict=True)), workspace))


def insert_rows(tx: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Write rows, values in the order of the table's columns: unlike `copy`, in a pipeline too."""
    if rows:
        kinds = (it.type.compile(tx.dialect).partition(" COLLATE")[0] for it in table.columns)
        arrays = ", ".join(f"%b::{kind}[]" for kind in kinds)
        with binary_cursor(tx) as ask:
            ask.execute(
                f"INSERT INTO {table} SELECT * FROM unnest({arrays})",
                [*map(pack_array, zip(*rows, strict=True))],
            )


@contextmanager
def pipeline(tx: Connection) -> Iterator[None]:
    """Have the server run statements while more of them are made.

    What goes wrong with one is raised by a later one, at the latest at the end.  Nothing can be copied meanwhile.
    """
    driver = _psycopg_connection(tx)
    with socket(fileno=os.dup(driver.pgconn.socket)) as line:
        # What a Unix socket holds by itself is less than one statement, so that the rest would be waited for.
        if line.family == AF_UNIX:
            line.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)
    with driver.pipeline():
        yield


def iterate_and_flush(tx: Connection, values: Iterable[T]) -> Iterator[T]:
    """Give values out; between them the server is sent what it could not take at once."""
    flush = _psycopg_connection(tx).pgconn.flush
    for number, it in enumerate(values):
        if number % FLUSH_INTERVAL == 0:
            flush()
        yield it


def _psycopg_connection(tx: Connection) -> Driver[Any]:
    driver = tx.connection.driver_connection
    assert isinstance(driver, Driver)
    return driver
