"""The connections that questions are answered on: they cannot write, and no question takes long."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event, exc

from application.ledger.store import is_disconnected
from projections.rebuild.switch import QUERY_APPLICATION_NAME

MAX_CONCURRENT_QUERIES = 8
"""Questions that are put to the database at the same time; more wait their turn."""

QUERY_TIMEOUT_SECONDS = 5.0


def create_query_engine(dsn: str, *, timeout_seconds: float = QUERY_TIMEOUT_SECONDS) -> Engine:
    """Return the engine of a libpq connection string or URI, for queries alone.

    A transaction sees one snapshot, so the position that an answer names is that of its rows.  Just in
    time compilation is off: compiling a plan would take longer than running it.
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
        max_overflow=2,  # readiness and metrics do not wait behind questions
        pool_timeout=2,
        hide_parameters=True,  # they name people, and errors end in logs
    )

    @event.listens_for(engine, "do_connect")
    def use_dsn(_dialect: Any, _record: Any, arguments: list[Any], _parameters: Any) -> None:
        arguments[:] = [dsn]  # as it is: libpq knows spellings that SQLAlchemy's URLs do not

    @event.listens_for(engine, "checkout")
    def require_alive(connection: Any, _record: Any, _proxy: Any) -> None:
        if is_disconnected(
            connection
        ):  # so that the first question after a restart is as good as any
            raise exc.DisconnectionError

    return engine
