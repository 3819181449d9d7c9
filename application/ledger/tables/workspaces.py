"""Workspaces: each is one tenant with its own ledger and secret."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import psycopg

from application.ledger.session import Connections
from domain.core.errors import Conflict, InvalidRequest, NotFound

_CREATE = """
WITH created AS (
    INSERT INTO ledger.workspace (name, secret) VALUES (%s, %s) RETURNING id, name, created_at
), head AS (
    INSERT INTO ledger.ledger_head (workspace, last_position, recorded_at)
    SELECT id, 0, created_at FROM created
)
SELECT id, name, created_at FROM created
"""

_LIST = "SELECT id, name, created_at FROM ledger.workspace ORDER BY id"
_BY_NAME = "SELECT id, name, created_at FROM ledger.workspace WHERE name = %s"
_HEADS = "SELECT workspace, last_position FROM ledger.ledger_head"
_SECRET = "SELECT secret FROM ledger.workspace WHERE id = %s"  # noqa: S105 - a query, not a secret


class Workspace(NamedTuple):
    """A tenant, with a small number as id and a name that users type."""

    id: int
    name: str
    created_at: datetime


class Workspaces:
    """Creates and finds workspaces."""

    def __init__(self, store: Connections) -> None:
        self._store = store
        self.secret = lru_cache(maxsize=4096)(self._secret)

    def create(self, name: str) -> Workspace:
        """Creates a workspace with an empty ledger.  Raises Conflict if the name is taken."""
        if not name or len(name) > 100 or not name.isprintable() or name != name.strip():
            raise InvalidRequest(
                "a workspace's name must be 1 to 100 printable characters, without outer blanks",
                name=name,
            )
        with self._store.connection() as connection:
            try:
                row = connection.execute(_CREATE, (name, secrets.token_bytes(32))).fetchone()
            except psycopg.errors.UniqueViolation:
                raise Conflict(f"workspace {name!r} already exists", name=name) from None
        assert row is not None
        return Workspace(*row)

    def list(self) -> list[Workspace]:
        """Returns all workspaces, oldest first."""
        with self._store.connection() as connection:
            return [Workspace(*row) for row in connection.execute(_LIST).fetchall()]

    def heads(self) -> Mapping[int, int]:
        """Returns the last position of each workspace's ledger, by the workspace's id."""
        with self._store.connection() as connection:
            return dict(connection.execute(_HEADS).fetchall())

    def by_name(self, name: str) -> Workspace:
        """Returns the workspace of a name.  Raises NotFound with the existing names."""
        with self._store.connection() as connection:
            row = connection.execute(_BY_NAME, (name,)).fetchone()
        if row is None:
            names = [workspace.name for workspace in self.list()]
            raise NotFound(
                f"workspace {name!r} does not exist; use one of: {', '.join(names) or 'none yet'}",
                workspaces=names,
            )
        return Workspace(*row)

    def _secret(self, workspace: int) -> bytes:
        """Returns the 32 bytes that key a workspace's digests."""
        with self._store.connection() as connection:
            row = connection.execute(_SECRET, (workspace,)).fetchone()
        if row is None:
            raise NotFound(f"workspace {workspace} does not exist")
        return bytes(row[0])
