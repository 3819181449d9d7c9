"""The moment of a switch: nothing moves, the same rows are in both places, and readers notice nothing."""

from __future__ import annotations

from datetime import datetime
from time import monotonic, sleep

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import OperationalError

from projections.rebuild import builds, shadow_schema
from projections.runtime.checkpoint import checkpoint

QUERY_APPLICATION_NAME = "foldline queries"
"""The application name of the connections that questions are answered on."""

LOCK_TIMEOUT_SECONDS = 1.0
"""How long to wait for those who move read models; meanwhile others queue up behind."""

_POLL_SECONDS = 0.01

_RUNNING_QUERIES = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = :readers
    AND backend_xmin IS NOT NULL AND xact_start < :since
""")


def lock_read_models(tx: Connection) -> bool:
    """Let no read model move until commit, nor a person be erased; say whether that could be had.

    Questions are answered all the while.  If it could not be had, the transaction is of no more use.
    """
    tx.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
    try:
        builds.block_erasures(tx)
        # Whoever moves a read model, or erases a person, changes a checkpoint before anything else.
        tx.execute(text(f"LOCK TABLE {checkpoint} IN EXCLUSIVE MODE"))
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return False
        raise
    return True


def database_time(tx: Connection) -> datetime:
    """Return the database's time: transactions that begin later see what is committed by now."""
    found: datetime = tx.execute(select(func.clock_timestamp())).scalar_one()
    return found


def wait_for_queries(tx: Connection, before: datetime, seconds: float) -> bool:
    """Wait for questions that began earlier; say whether they ended in time.

    Each is answered from one snapshot.  One that is older than the last rows aside would miss them.
    """
    deadline = monotonic() + seconds
    asked = {"readers": QUERY_APPLICATION_NAME, "since": before}
    while True:
        tx.execute(text("SELECT pg_stat_clear_snapshot()"))
        if not tx.execute(_RUNNING_QUERIES, asked).scalar():
            return True
        if monotonic() > deadline:
            return False
        sleep(_POLL_SECONDS)


def drop_old(engine: Engine, schema: str, attempts: int = 20) -> bool:
    """Drop the tables that were replaced, once those who still read them have ended; say whether it is done."""
    for _ in range(attempts):
        try:
            with engine.begin() as tx:
                tx.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
                builds.block_erasures(tx)
                shadow_schema.drop(tx, shadow_schema.old_schema(schema))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            sleep(LOCK_TIMEOUT_SECONDS)  # an erasure may be waiting for its turn
        else:
            return True
    return False
