"""Migrates the ledger's tables.  Read models are rebuilt, never migrated.

Alembic is imported only if a revision is pending: it takes a tenth of an idle server's memory.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

SCHEMA = "ledger"
VERSION_TABLE = "schema_version"

_FOLDER = Path(__file__).parent / "migrations"


def migrate(dsn: str) -> tuple[str, ...]:
    """Applies the pending revisions and returns them.

    Several processes may call it at once: one migrates, the others wait.
    ``dsn`` is a libpq connection string or URI of a role that may create schemas.
    """
    pending = pending_revisions(dsn)
    if pending:
        _upgrade(dsn)
    return pending


def pending_revisions(dsn: str) -> tuple[str, ...]:
    """Returns the revisions that ``migrate`` would apply, oldest first."""
    revisions = sorted(
        path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py")
    )
    current = _current_revision(dsn)
    return tuple(revision for revision in revisions if current is None or revision > current)


def _current_revision(dsn: str) -> str | None:
    table = f"{SCHEMA}.{VERSION_TABLE}"
    with psycopg.connect(dsn, application_name="foldline migrate") as connection:
        if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
            return None
        query = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(SCHEMA, VERSION_TABLE))
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def _upgrade(dsn: str) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.set_main_option("path_separator", "os")
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, application_name="foldline migrate"),
        poolclass=NullPool,
    )
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
