"""A workspace of one test on a running server, with access to its ledger and answers."""

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
    """A workspace with a key of each kind, and access to its ledger and answers."""

    server: Server
    dsn: str
    workspace: int
    write: str
    read: str
    admin: str

    def post(
        self, path: str, body: bytes | Any, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send to a path of a wire format with the write key; a body that is not bytes as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.server.ask("POST", path, sent, basic(self.write) | dict(headers or {}))

    def get(self, target: str) -> Any:
        answer = self.server.ask("GET", target, headers=bearer(self.read))
        assert answer.status == 200, answer
        return answer.json

    def recorded(self) -> list[RecordedEvent]:
        """The workspace's events, read from the database."""
        return read_ledger(self.dsn, self.workspace)

    def head(self) -> int:
        """The last position."""
        head = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"
        return int(query(self.dsn, head, self.workspace)[0][0])

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        """All events of the public list, newest first, once the read model has all of them."""
        self.projected()
        query = "&".join(f"{k}={v}" for k, v in {"limit": 500, **filters}.items())
        events, cursor = [], None
        while True:
            page = self.get(f"/v1/events?{query}{f'&cursor={cursor}' if cursor else ''}")
            events += page["events"]
            cursor = page["next"]
            if cursor is None:
                return events

    def projected(self, stuck: float = 60.0) -> None:
        """Wait until every read model is at the head; TimeoutError if none moves for so long."""
        head, moved, before = self.head(), time.monotonic(), self.positions()
        while min((now := self.positions()).values()) < head:
            if now != before:
                moved, before = time.monotonic(), now
            if time.monotonic() - moved > stuck:
                raise TimeoutError(f"no read model moved for {stuck:g} s towards {head}: {now}")
            time.sleep(0.05)

    def positions(self) -> dict[str, int]:
        """The position of each read model, read from the database; 0 if it has not begun."""
        checkpoints = "SELECT name, position FROM projections.checkpoint WHERE workspace = %s"
        positions = dict(query(self.dsn, checkpoints, self.workspace))
        return {projection.name: positions.get(projection.name, 0) for projection in PROJECTIONS}

    def rejected(self) -> list[dict[str, Any]]:
        """All rejections, newest first."""
        rejected, cursor = [], None
        while True:
            page = self.get(f"/v1/rejected?limit=100{f'&cursor={cursor}' if cursor else ''}")
            rejected += page["rejected"]
            cursor = page["next"]
            if cursor is None:
                return rejected


def tenant(server: Server, dsn: str, name: str = "default") -> Tenant:
    """Create a workspace and its keys, directly in the server's database."""
    workspace, keys = make_keys(dsn, name)
    return Tenant(server, dsn, workspace, **keys)


def make_keys(dsn: str, name: str = "default") -> tuple[int, dict[str, str]]:
    """Create a workspace; return its id and the text of a key of each kind."""
    store = LedgerDatastore(dsn)
    try:
        workspace = Workspaces(store).create(name).id
        return workspace, _keys(store, workspace)
    finally:
        store.close()


def more_keys(tenant: Tenant) -> dict[str, str]:
    """Create another key of each kind."""
    store = LedgerDatastore(tenant.dsn)
    try:
        return _keys(store, tenant.workspace)
    finally:
        store.close()


def _keys(store: LedgerDatastore, workspace: int) -> dict[str, str]:
    keys = ApiKeys(store)
    return {kind: keys.create(workspace, kind).text for kind in KEY_KINDS}


def read_ledger(dsn: str, workspace: int) -> list[RecordedEvent]:
    """Return all events of a workspace, in order, read by a ledger."""
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
