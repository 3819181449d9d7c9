"""Versions of endpoints and subscriptions, in order; rows are never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

_COLUMNS = "id, version, event_id, document, decided_at, recorded_at, actor, reason"

_LOAD = f"""
SELECT {_COLUMNS} FROM ledger.outbound_revision WHERE workspace = %s AND kind = %s
ORDER BY id, version
"""

_PAGE = f"""
SELECT {_COLUMNS} FROM ledger.outbound_revision
WHERE workspace = %s AND kind = %s AND id = %s AND version > %s ORDER BY version LIMIT %s
"""

_INSERT = """
INSERT INTO ledger.outbound_revision
    (workspace, kind, id, version, event_id, document, decided_at, actor, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


class NewRevision(NamedTuple):
    """A change of an endpoint or subscription."""

    workspace: int
    kind: str
    id: str
    version: int
    event_id: UUID
    document: bytes | None
    """The definition as JSON; None: deleted."""

    decided_at: datetime
    actor: str
    reason: str


class RevisionRow(NamedTuple):
    """A stored change of an endpoint or subscription."""

    id: str
    version: int
    event_id: UUID
    document: bytes | None
    decided_at: datetime
    recorded_at: datetime
    actor: str
    reason: str


def load_revisions(connection: Connection[Any], workspace: int, kind: str) -> Sequence[RevisionRow]:
    """Returns all changes of one kind, by id and version."""
    return [RevisionRow(*row) for row in connection.execute(_LOAD, (workspace, kind)).fetchall()]


def list_revisions(
    connection: Connection[Any], workspace: int, kind: str, id_: str, *, after: int, limit: int
) -> Sequence[RevisionRow]:
    """Returns the changes of one definition after a version, in order."""
    params = (workspace, kind, id_, after, limit)
    return [RevisionRow(*row) for row in connection.execute(_PAGE, params).fetchall()]


def insert_revision(connection: Connection[Any], revision: NewRevision) -> bool:
    """Adds a change; False if the definition has that version already."""
    return bool(connection.execute(_INSERT, revision).rowcount)
