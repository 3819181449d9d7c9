"""Runs migrations on the connection that `application.ledger.migrate` passes in."""

from alembic import context
from sqlalchemy import text

from application.ledger.migrate import SCHEMA, VERSION_TABLE

MIGRATING = 4_602_110
"""Advisory lock key under which one deployer at a time migrates."""

connection = context.config.attributes["connection"]
connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATING})
connection.execute(text("SET lock_timeout = '4s'"))
connection.execute(text("SET statement_timeout = '60s'"))
connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
connection.commit()
context.configure(
    connection=connection,
    version_table=VERSION_TABLE,
    version_table_schema=SCHEMA,
    transaction_per_migration=True,
)
try:
    with context.begin_transaction():
        context.run_migrations()
finally:
    connection.rollback()
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATING})
    connection.commit()
