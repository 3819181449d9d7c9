"""Database connections of queries: read-only and limited in time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event, exc

from application.ledger.session import is_disconnected
from projections.rebuild.switch import QUERY_APPLICATION_NAME

MAX_CONCURRENT_QUERIES = 8
"""Maximum number of concurrent queries; more wait for a connection."""

QUERY_TIMEOUT_SECONDS = 5.0
"""Time limit of one statement."""


def create_query_engine(dsn: str, *, timeout_seconds: float = QUERY_TIMEOUT_SECONDS) -> Engine:
    """Returns an engine for queries; ``dsn`` is a libpq connection string or URI.

    A transaction sees one snapshot, so the position in an answer is that of its rows.  Just-in-time
    compilation is off: compiling a plan would take longer than running it.
    """
    session = {
        "statement_timeout": f"{timeout_seconds * 1000:.0f}",
        "idle_in_transaction_session_timeout": "30s",
        "default_transaction_read_only": "on",
        "default_transaction_isolation": r"repeatable\ read",
        "jit": "off",
        "TimeZone": "UTC",
    }
    engine = create_engine(
        "postgresql+psycopg://",
        connect_args={
            "connect_timeout": 2,
            "application_name": QUERY_APPLICATION_NAME,
            "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        },
        pool_size=MAX_CONCURRENT_QUERIES,
        max_overflow=2,  # readiness and metrics do not wait behind queries
        pool_timeout=2,
        hide_parameters=True,  # parameters contain personal data, and errors are logged
    )

    @event.listens_for(engine, "do_connect")
    def use_dsn(_dialect: Any, _record: Any, arguments: list[Any], _parameters: Any) -> None:
        arguments[:] = [dsn]  # unchanged: libpq accepts forms that SQLAlchemy's URLs do not

    replace_disconnected(engine)
    return engine


def replace_disconnected(engine: Engine) -> None:
    """Makes the engine replace connections that the server closed, without asking the server.

    So the first statement after a restart does not fail.
    """

    @event.listens_for(engine, "checkout")
    def require_alive(connection: Any, _record: Any, _proxy: Any) -> None:
        if is_disconnected(connection):
            raise exc.DisconnectionError
