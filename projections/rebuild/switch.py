"""Locks and waits of a switch, which readers do not notice: both schemas have the same rows."""

from __future__ import annotations

from datetime import datetime
from time import monotonic, sleep

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import OperationalError

from projections.rebuild import builds, shadow_schema
from projections.runtime.checkpoint import checkpoint

QUERY_APPLICATION_NAME = "foldline queries"
"""Application name of the connections on which queries run."""

LOCK_TIMEOUT_SECONDS = 1.0
"""Seconds to wait for projectors; meanwhile other projectors queue behind."""

_POLL_SECONDS = 0.01

_RUNNING_QUERIES = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = :application_name
    AND backend_xmin IS NOT NULL AND xact_start < :since
""")


def lock_read_models(tx: Connection) -> bool:
    """Blocks all projectors and erasures until commit; returns whether the locks were acquired.

    Queries continue.  If the locks were not acquired, the transaction must be rolled back.
    """
    tx.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
    try:
        builds.block_erasures(tx)
        # Projectors and erasures change a checkpoint before anything else.
        tx.execute(text(f"LOCK TABLE {checkpoint} IN EXCLUSIVE MODE"))
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return False
        raise
    return True


def database_time(tx: Connection) -> datetime:
    """Returns the database's time: transactions that begin later see all commits so far."""
    now: datetime = tx.execute(select(func.clock_timestamp())).scalar_one()
    return now


def wait_for_queries(tx: Connection, before: datetime, seconds: float) -> bool:
    """Waits for queries that began before an instant; returns whether they ended in time.

    Each query has one snapshot.  One that is older than the last rows of the shadow tables would miss them.
    """
    deadline = monotonic() + seconds
    params = {"application_name": QUERY_APPLICATION_NAME, "since": before}
    while True:
        tx.execute(text("SELECT pg_stat_clear_snapshot()"))
        if not tx.execute(_RUNNING_QUERIES, params).scalar():
            return True
        if monotonic() > deadline:
            return False
        sleep(_POLL_SECONDS)


def drop_old(engine: Engine, schema: str, attempts: int = 20) -> bool:
    """Drops the replaced schema when no query reads it any more; returns whether it was dropped."""
    for _ in range(attempts):
        try:
            with engine.begin() as tx:
                tx.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
                builds.block_erasures(tx)
                shadow_schema.drop(tx, shadow_schema.old_schema(schema))
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            sleep(LOCK_TIMEOUT_SECONDS)  # so that a waiting erasure can run
        else:
            return True
    return False
