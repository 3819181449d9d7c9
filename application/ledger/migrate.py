"""Brings the ledger's tables to the newest shape.  Read models are never migrated: see Projector.

Alembic is loaded only when something is to be done: it is a tenth of an idle server's memory.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
from psycopg import sql

SCHEMA = "ledger"
VERSION_TABLE = "schema_version"

_FOLDER = Path(__file__).parent / "migrations"


def migrate(dsn: str) -> tuple[str, ...]:
    """Apply what is missing and return it.  Safe from several processes at once: one does the work.

    ``dsn`` is a libpq connection string or URI of a role that may create schemas.
    """
    missing = pending_revisions(dsn)
    if missing:
        _upgrade(dsn)
    return missing


def pending_revisions(dsn: str) -> tuple[str, ...]:
    """Return the revisions that ``migrate`` would apply, oldest first."""
    known = sorted(path.name.partition("_")[0] for path in (_FOLDER / "versions").glob("[0-9]*.py"))
    current = _current(dsn)
    return tuple(revision for revision in known if current is None or revision > current)


def _current(dsn: str) -> str | None:
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
