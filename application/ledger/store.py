"""The connections of the write side: checked, limited in time, and with no more rights than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus

from application.ledger import server_requirements
from application.ledger.append import binary
from domain.core.errors import LedgerUnavailable

SERVICE_ROLE = "foldline_service"

_SESSION = """
SET lock_timeout = '2s';
SET statement_timeout = '5s';
SET idle_in_transaction_session_timeout = '10s';
SET TimeZone = 'UTC';
SET search_path = ledger, pg_temp;
"""

_MAY_SERVE = """
SELECT count(*) FROM pg_roles
WHERE rolname = %s AND pg_has_role(current_user, rolname, 'MEMBER')
"""


class LedgerDatastore(PostgresDatastore):
    """The library's datastore, over any libpq connection string, with our sessions.

    Never in the library's db-functions mode: followers lose events in it (2.4 % measured).
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
        given = {name: value for name, value in self.pool.kwargs.items() if value != ""}
        limits = {"connect_timeout": 2, "application_name": "foldline", "keepalives_idle": 5}
        self.pool.kwargs = limits | parts | given | {"row_factory": psycopg.rows.tuple_row}
        # The pool waits ever longer between its attempts to connect; giving up at once lets the next
        # request try afresh, so that writing goes on as soon as the server is back.
        self.pool.reconnect_timeout = 0.1

    def after_connect_func(self) -> Callable[[psycopg.Connection[Any]], None]:
        """Return what prepares each new connection of the pool."""
        return prepare_session

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Give a connection for a statement of its own; LedgerUnavailable if it is lost meanwhile."""
        try:
            with self.raw_connection() as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _unavailable(error) from error

    @contextmanager
    def raw_connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Give a connection, with psycopg's own errors; LedgerUnavailable if there is none."""
        self.pool.open()
        connection = self._live_connection()
        try:
            yield connection
        finally:
            self.pool.putconn(connection)

    def _live_connection(self) -> psycopg.Connection[Any]:
        """Return a connection, past those that died while nobody used them.

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
    """Look whether the server has ended an idle connection: the socket says so, without asking it."""
    try:
        connection.pgconn.consume_input()  # reads the server's parting words, if there are any
        connection.pgconn.consume_input()  # and then that it has hung up
    except psycopg.OperationalError:
        return True
    return connection.pgconn.status != ConnStatus.OK


def _unavailable(error: psycopg.Error) -> LedgerUnavailable:
    return LedgerUnavailable(
        "the database does not answer, so nothing was recorded; send it again shortly",
        reason=str(error),
    )


def prepare_session(connection: psycopg.Connection[Any]) -> None:
    """Check the server behind a new connection, and step down to the service's role."""
    connection.autocommit = True
    server_requirements.require_safe_server(connection)
    connection.execute(_SESSION)
    found = connection.execute(_MAY_SERVE, (SERVICE_ROLE,)).fetchone()
    if found and found[0]:
        connection.execute(f"SET ROLE {SERVICE_ROLE}")
    binary.register_dumpers(connection)
