"""The connections that questions are answered on: they cannot write, and no question takes long."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event, exc

from application.ledger.store import has_hung_up
from projections.rebuild.switch import READERS

AT_ONCE = 8
"""Questions that are put to the database at the same time; more wait their turn."""

LONGEST_SECONDS = 5.0


def reading_engine(dsn: str, *, longest_seconds: float = LONGEST_SECONDS) -> Engine:
    """Return the engine of a libpq connection string or URI, for queries alone.

    A transaction sees one snapshot, so the position that an answer names is that of its rows.  Just in
    time compilation is off: compiling a plan would take longer than running it.
    """
    session = {
        "statement_timeout": f"{longest_seconds * 1000:.0f}",
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
            "application_name": READERS,
            "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
        },
        pool_size=AT_ONCE,
        max_overflow=2,  # readiness and metrics do not wait behind questions
        pool_timeout=2,
        hide_parameters=True,  # they name people, and errors end in logs
    )

    @event.listens_for(engine, "do_connect")
    def address(_dialect: Any, _record: Any, arguments: list[Any], _parameters: Any) -> None:
        arguments[:] = [dsn]  # as it is: libpq knows spellings that SQLAlchemy's URLs do not

    @event.listens_for(engine, "checkout")
    def alive(connection: Any, _record: Any, _proxy: Any) -> None:
        if has_hung_up(connection):  # so that the first question after a restart is as good as any
            raise exc.DisconnectionError

    return engine
