"""Connections of the write side: checked server, time limits, and the service's role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus

from application.ledger import binary_arrays, server_requirements
from domain.core.errors import LedgerUnavailable

SERVICE_ROLE = "foldline_service"

_SESSION = """
SET lock_timeout = '2s';
SET statement_timeout = '5s';
SET idle_in_transaction_session_timeout = '10s';
SET TimeZone = 'UTC';
SET search_path = ledger, pg_temp;
"""

_HAS_SERVICE_ROLE = """
SELECT count(*) FROM pg_roles
WHERE rolname = %s AND pg_has_role(current_user, rolname, 'MEMBER')
"""


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
        try:
            with self.raw_connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _unavailable(error) from error

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
            raise _unavailable(error) from error


def is_disconnected(connection: psycopg.Connection[Any]) -> bool:
    """Returns whether the server has closed an idle connection.  Sends no query."""
    try:
        connection.pgconn.consume_input()  # reads the server's last message, if there is one
        connection.pgconn.consume_input()  # then fails if the server has closed the socket
    except psycopg.OperationalError:
        return True
    return connection.pgconn.status != ConnStatus.OK


def _unavailable(error: psycopg.Error) -> LedgerUnavailable:
    return LedgerUnavailable(
        "the database is unreachable and nothing was recorded; retry shortly",
        reason=str(error),
    )


def prepare_session(connection: psycopg.Connection[Any]) -> None:
    """Checks the server of a new connection and switches to the service's role, if it has it."""
    connection.autocommit = True
    server_requirements.require_safe_server(connection)
    connection.execute(_SESSION)
    row = connection.execute(_HAS_SERVICE_ROLE, (SERVICE_ROLE,)).fetchone()
    if row and row[0]:
        connection.execute(f"SET ROLE {SERVICE_ROLE}")
    binary_arrays.register_dumpers(connection)
