"""Databases of benchmarks, all on one server, each with a workspace and its keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg

from application.ledger.migrate import migrate
from application.ledger.store import LedgerDatastore
from application.ledger.tables.keys import ApiKeys
from application.ledger.tables.workspaces import Workspaces
from interfaces.database import DEFAULT_WORKSPACE
from tests.fix_postgres import database_dsn


@dataclass(frozen=True, kw_only=True)
class Database:
    """A migrated database with one workspace."""

    dsn: str
    workspace: int
    secret: bytes
    write_key: str
    read_key: str

    def sql(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Runs SQL as the owner, in a transaction of its own, and returns the rows."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []

    def head(self) -> int:
        """Returns the workspace's last position."""
        query = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"
        return self.sql(query, self.workspace)[0][0]

    def projected(self) -> int:
        """Returns the position that every read model has reached."""
        query = "SELECT coalesce(min(position), 0) FROM projections.checkpoint WHERE workspace = %s"
        return self.sql(query, self.workspace)[0][0]

    def wait_until_projected(
        self, seconds: float = 120, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        """Waits until every read model has reached the ledger's head; calls a function meanwhile."""
        until = time.monotonic() + seconds
        while self.projected() < self.head():
            assert time.monotonic() < until, "the read models did not catch up"
            meanwhile()
            time.sleep(0.1)


@contextmanager
def temporary_database(server: str) -> Iterator[Database]:
    """Creates a database on the server and drops it on exit."""
    name = f"foldline_bench_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield _migrated(database_dsn(server, name))
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _migrated(dsn: str) -> Database:
    migrate(dsn)
    store = LedgerDatastore(dsn)
    try:
        workspaces, keys = Workspaces(store), ApiKeys(store)
        workspace = workspaces.create(DEFAULT_WORKSPACE).id
        return Database(
            dsn=dsn,
            workspace=workspace,
            secret=workspaces.secret(workspace),
            write_key=keys.create(workspace, "write").text,
            read_key=keys.create(workspace, "read").text,
        )
    finally:
        store.close()
