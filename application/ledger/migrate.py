"""Brings the ledger's tables to the newest shape.  Read models are never migrated: see Projector."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

SCHEMA = "ledger"
VERSION_TABLE = "schema_version"


def migrate(dsn: str) -> None:
    """Apply what is missing.  Safe to call from several processes at once: one does the work.

    ``dsn`` is a libpq connection string or URI of a role that may create schemas.
    """
    config = _config()
    engine = _engine(dsn)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def pending(dsn: str) -> tuple[str, ...]:
    """Return the revisions that ``migrate`` would apply, oldest first."""
    script = ScriptDirectory.from_config(_config())
    engine = _engine(dsn)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
            )
            current = context.get_current_revision()
    finally:
        engine.dispose()
    newer = [r.revision for r in script.iterate_revisions("head", current or "base")]
    return tuple(reversed(newer))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _engine(dsn: str) -> Engine:
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, application_name="foldline migrate"),
        poolclass=NullPool,
    )
