"""A workspace of a test's own on a served Foldline, and eyes on all that became of what it sent."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.keys import KEY_KINDS, ApiKeys
from application.ledger.tables.workspaces import Workspaces
from domain.events.recorded import RecordedEvent
from projections import PROJECTIONS
from tests.serving import Answer, Server, basic, bearer


@dataclass(frozen=True)
class Tenant:
    """A workspace of its own with a key of each kind, and eyes on all that became of what it sent."""

    server: Server
    dsn: str
    workspace: int
    write: str
    read: str
    admin: str

    def post(
        self, path: str, body: bytes | Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send to a path of a dialect with the write key; what is not bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.server.ask("POST", path, sent, basic(self.write) | dict(headers or {}))

    def get(self, target: str) -> Any:
        answer = self.server.ask("GET", target, headers=bearer(self.read))
        assert answer.status == 200, answer
        return answer.json

    def recorded(self) -> list[RecordedEvent]:
        """The workspace's ledger, from the database itself."""
        return read_ledger(self.dsn, self.workspace)

    def head(self) -> int:
        """The last position."""
        head = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"
        return int(query(self.dsn, head, self.workspace)[0][0])

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        """All events by the public list, once the read model has everything; newest first."""
        self.projected()
        query = "&".join(f"{k}={v}" for k, v in {"limit": 500, **filters}.items())
        found, cursor = [], None
        while True:
            page = self.get(f"/v1/events?{query}{f'&cursor={cursor}' if cursor else ''}")
            found += page["events"]
            cursor = page["next"]
            if cursor is None:
                return found

    def projected(self, stuck: float = 60.0) -> None:
        """Wait until every read model has everything.  Raises TimeoutError if none moves for long."""
        head, moved, before = self.head(), time.monotonic(), self.positions()
        while min((now := self.positions()).values()) < head:
            if now != before:
                moved, before = time.monotonic(), now
            if time.monotonic() - moved > stuck:
                raise TimeoutError(f"no read model moved for {stuck:g} s towards {head}: {now}")
            time.sleep(0.05)

    def positions(self) -> dict[str, int]:
        """How far each read model is, from the database itself; at 0 if it has not begun."""
        standing = "SELECT name, position FROM projections.checkpoint WHERE workspace = %s"
        begun = dict(query(self.dsn, standing, self.workspace))
        return {it.name: begun.get(it.name, 0) for it in PROJECTIONS}

    def rejected(self) -> list[dict[str, Any]]:
        """All that was not accepted, newest first."""
        found, cursor = [], None
        while True:
            page = self.get(f"/v1/rejected?limit=100{f'&cursor={cursor}' if cursor else ''}")
            found += page["rejected"]
            cursor = page["next"]
            if cursor is None:
                return found


def tenant(server: Server, dsn: str, name: str = "default") -> Tenant:
    """Make a workspace and its keys, directly in the server's database."""
    workspace, made = make_keys(dsn, name)
    return Tenant(server, dsn, workspace, **made)


def make_keys(dsn: str, name: str = "default") -> tuple[int, dict[str, str]]:
    """Make a workspace; return its number and the text of a key of each kind."""
    store = LedgerDatastore(dsn)
    try:
        workspace = Workspaces(store).create(name).id
        return workspace, _keys(store, workspace)
    finally:
        store.close()


def another_keys(known: Tenant) -> dict[str, str]:
    """Make another key of each kind."""
    store = LedgerDatastore(known.dsn)
    try:
        return _keys(store, known.workspace)
    finally:
        store.close()


def _keys(store: LedgerDatastore, workspace: int) -> dict[str, str]:
    keys = ApiKeys(store)
    return {kind: keys.create(workspace, kind).text for kind in KEY_KINDS}


def read_ledger(dsn: str, workspace: int) -> list[RecordedEvent]:
    """Return all events of a workspace, in order, as the ledger itself reads them."""
    store = LedgerDatastore(dsn)
    ledger = Ledger(store, Workspaces(store), writers=0)
    try:
        return list(ledger.read(workspace, 0, 10_000_000))
    finally:
        ledger.close()
        store.close()


def query(dsn: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """Run SQL as the database's owner."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(sql, params)
        return cursor.fetchall() if cursor.description else []
