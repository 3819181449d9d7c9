"""Workspaces: one tenant, one ledger, one secret."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import psycopg

from application.ledger.store import LedgerDatastore
from domain.core.errors import Conflict, InvalidRequest, NotFound

_CREATE = """
WITH made AS (
    INSERT INTO ledger.workspace (name, secret) VALUES (%s, %s) RETURNING id, name, created_at
), head AS (
    INSERT INTO ledger.ledger_head (workspace, last_position, recorded_at)
    SELECT id, 0, created_at FROM made
)
SELECT id, name, created_at FROM made
"""

_LIST = "SELECT id, name, created_at FROM ledger.workspace ORDER BY id"
_BY_NAME = "SELECT id, name, created_at FROM ledger.workspace WHERE name = %s"
_SECRET = "SELECT secret FROM ledger.workspace WHERE id = %s"  # noqa: S105 - a query, not a secret


class Workspace(NamedTuple):
    """A tenant; its id is a small number, its name is what people type."""

    id: int
    name: str
    created_at: datetime


class Workspaces:
    """Makes and finds workspaces."""

    def __init__(self, store: LedgerDatastore) -> None:
        self._store = store
        self.secret = lru_cache(maxsize=4096)(self._secret)

    def create(self, name: str) -> Workspace:
        """Make a workspace with an empty ledger.  Raises Conflict if the name is taken."""
        if not name or len(name) > 100 or not name.isprintable() or name != name.strip():
            raise InvalidRequest("a workspace's name is 1 to 100 printable characters", name=name)
        with self._store.connection() as connection:
            try:
                row = connection.execute(_CREATE, (name, secrets.token_bytes(32))).fetchone()
            except psycopg.errors.UniqueViolation:
                raise Conflict(f"there is a workspace {name!r} already", name=name) from None
        assert row is not None
        return Workspace(*row)

    def list(self) -> list[Workspace]:
        """Return all workspaces, oldest first."""
        with self._store.connection() as connection:
            return [Workspace(*row) for row in connection.execute(_LIST).fetchall()]

    def by_name(self, name: str) -> Workspace:
        """Return a workspace.  Raises NotFound, with the names there are."""
        with self._store.connection() as connection:
            row = connection.execute(_BY_NAME, (name,)).fetchone()
        if row is None:
            names = [workspace.name for workspace in self.list()]
            raise NotFound(
                f"there is no workspace {name!r}; there are: {', '.join(names) or 'none'}",
                workspaces=names,
            )
        return Workspace(*row)

    def _secret(self, workspace: int) -> bytes:
        """Return the 32 bytes that key a workspace's digests."""
        with self._store.connection() as connection:
            row = connection.execute(_SECRET, (workspace,)).fetchone()
        if row is None:
            raise NotFound(f"there is no workspace {workspace}")
        return bytes(row[0])
