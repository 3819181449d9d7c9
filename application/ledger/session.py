"""Sessions of the write side: checked server, time limits, and the service's role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import psycopg
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


class Connections(Protocol):
    """What gives out prepared connections: a pool, or the one connection of a command."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Yields a connection; raises LedgerUnavailable if it is lost or none is available."""
        ...


class OneConnection:
    """One prepared connection, for a command that ends soon: no pool and none of its threads."""

    def __init__(self, dsn: str) -> None:
        with lost_as_unavailable():
            self._connection = psycopg.connect(
                dsn, connect_timeout=2, autocommit=True, application_name="foldline"
            )
            prepare_session(self._connection)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """Yields the connection; raises LedgerUnavailable if it is lost."""
        with lost_as_unavailable():
            yield self._connection

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@contextmanager
def lost_as_unavailable() -> Iterator[None]:
    """Turns the driver's errors of a lost connection into LedgerUnavailable."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise to_unavailable(error) from error


def to_unavailable(error: psycopg.Error) -> LedgerUnavailable:
    """Returns our error for a lost connection."""
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


def is_disconnected(connection: psycopg.Connection[Any]) -> bool:
    """Returns whether the server has closed an idle connection.  Sends no query."""
    try:
        connection.pgconn.consume_input()  # reads the server's last message, if there is one
        connection.pgconn.consume_input()  # then fails if the server has closed the socket
    except psycopg.OperationalError:
        return True
    return connection.pgconn.status != ConnStatus.OK
