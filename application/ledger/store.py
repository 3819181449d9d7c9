"""Pool of the write side's connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from application.ledger.session import (
    is_disconnected,
    lost_as_unavailable,
    prepare_session,
    to_unavailable,
)


class LedgerDatastore(PostgresDatastore):
    """The library's datastore with our session settings, for any libpq connection string.

    The library's db-functions mode is never used: readers that follow the ledger lose events in it
    (2.4 % measured).
    """

    def __init__(self, dsn: str, *, connections: int = 6, wait_seconds: float = 0.5) -> None:
        parts = conninfo_to_dict(dsn)
        super().__init__(
            dbname=str(parts.pop("dbname", "")),
            host=str(parts.pop("host", "")),
            port=str(parts.pop("port", "") or ""),
            user=str(parts.pop("user", "")),
            password=str(parts.pop("password", "") or ""),
            schema="ledger",
            pool_size=1,
            max_overflow=connections - 1,
            connect_timeout=wait_seconds,
        )
        assert isinstance(self.pool.kwargs, dict)
        explicit = {name: value for name, value in self.pool.kwargs.items() if value != ""}
        limits = {"connect_timeout": 2, "application_name": "foldline", "keepalives_idle": 5}
        self.pool.kwargs = limits | parts | explicit | {"row_factory": psycopg.rows.tuple_row}
        # The pool waits longer after each failed attempt to connect.  Giving up at once lets the next
        # request start over, so that writes continue as soon as the server is back.
        self.pool.reconnect_timeout = 0.1

    def after_connect_func(self) -> Callable[[psycopg.Connection[Any]], None]:
        """Returns the function that prepares each new connection of the pool."""
        return prepare_session

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Yields a connection; raises LedgerUnavailable if it is lost or none is available."""
        with lost_as_unavailable(), self.raw_connection() as connection:
            yield connection

    @contextmanager
    def raw_connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Yields a connection with psycopg's own errors; LedgerUnavailable if none is available."""
        self.pool.open()
        connection = self._live_connection()
        try:
            yield connection
        finally:
            self.pool.putconn(connection)

    def _live_connection(self) -> psycopg.Connection[Any]:
        """Returns the next live connection of the pool and discards those that died while idle.

        The pool's own check would wait a second and more after each dead one.
        """
        try:
            while True:
                connection: psycopg.Connection[Any] = self.pool.getconn()
                if not is_disconnected(connection):
                    return connection
                connection.close()
                self.pool.putconn(connection)
        except psycopg.OperationalError as error:
            raise to_unavailable(error) from error
