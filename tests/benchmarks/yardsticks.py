"""Yardsticks: PostgreSQL's COPY, and the `save` of the eventsourcing library."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Self

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from psycopg.conninfo import conninfo_to_dict


class Copy:
    """Binary COPY of a table's rows into an empty table like it, one transaction a batch.

    The copy grows with each round as the original does.
    """

    def __init__(self, dsn: str, source: str, *, only: str = "true") -> None:
        self._source, self._only = source, only
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.execute("DROP TABLE IF EXISTS yardstick")
        self._connection.execute(f"CREATE TABLE yardstick (LIKE {source} INCLUDING ALL)")
        self._columns = self._connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (source,),
        ).fetchall()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def rows(self, after: int) -> list[tuple[Any, ...]]:
        """Returns the original's rows after a position, in the form in which the copy sends them."""
        # The text of a jsonb is sent unchanged: parsing and writing it again is not COPY's work.
        columns = [
            f"'\\x01'::bytea || convert_to({name}::text, 'UTF8')" if kind == "jsonb" else name
            for name, kind in self._columns
        ]
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(
                f"SELECT {', '.join(columns)} FROM {self._source}"
                f" WHERE position > %s AND {self._only} ORDER BY position",
                (after,),
            ).fetchall()

    def copy(self, rows: Sequence[tuple[Any, ...]], batch: int) -> float:
        """Copies the rows; returns the seconds until all are durable."""
        sql = f"COPY yardstick ({', '.join(name for name, _ in self._columns)}) FROM STDIN (FORMAT BINARY)"
        types = ["bytea" if kind == "jsonb" else kind for _, kind in self._columns]
        started = time.perf_counter()
        with self._connection.cursor() as cursor:
            for first in range(0, len(rows), batch):
                with cursor.copy(sql) as copy:
                    copy.set_types(types)
                    for row in rows[first : first + batch]:
                        copy.write_row(row)
        return time.perf_counter() - started


class Visit(Aggregate):
    """An aggregate with the one event that records a message."""

    @event("Recorded")
    def __init__(self, message: dict[str, Any]) -> None:
        self.message = message


class Saves:
    """The library's application, set up as in its documentation: one save after the other."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._application: Application[Any] = Application(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": str(parts["dbname"]),
                "POSTGRES_HOST": str(parts.get("host", "")),
                "POSTGRES_PORT": str(parts.get("port", "")),
                "POSTGRES_USER": str(parts.get("user", "")),
                "POSTGRES_PASSWORD": str(parts.get("password", "")),
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._application.close()

    def save(self, messages: Sequence[dict[str, Any]]) -> float:
        """Saves an aggregate with one event for each message; returns the seconds."""
        started = time.perf_counter()
        for message in messages:
            self._application.save(Visit(message))
        return time.perf_counter() - started
