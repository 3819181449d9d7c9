"""Fixture: a ledger on its own database, with one workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from application.ledger.append.prepared import Receipt
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.rejected import Rejection
from application.ledger.tables.workspaces import Workspaces
from domain.events.message import Message
from domain.events.recorded import RecordedEvent


@dataclass
class Bench:
    """One workspace's ledger, with SQL access to its tables."""

    dsn: str
    store: LedgerDatastore
    workspaces: Workspaces
    ledger: Ledger
    workspace: int

    def record(self, *messages: Message, rejections: tuple[Rejection, ...] = ()) -> Receipt:
        return self.ledger.record(self.workspace, messages, rejections).result(10)

    def all(self) -> list[RecordedEvent]:
        return list(self.ledger.read(self.workspace, 0, 1_000_000))

    def sql(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Run SQL as the database's owner."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query, params)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def bench(database: str) -> Iterator[Bench]:
    store = LedgerDatastore(database)
    workspaces = Workspaces(store)
    ledger = Ledger(store, workspaces)
    yield Bench(database, store, workspaces, ledger, workspaces.create("default").id)
    ledger.close()
    store.close()
