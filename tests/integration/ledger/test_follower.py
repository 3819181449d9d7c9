"""A reader that tails the ledger misses nothing, whatever the writers do.

The test of the test: without the lock on the head of the ledger the same reader is told of a hole.
"""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager, suppress

import psycopg
import pytest

from application.ledger.append import append as appending
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from domain.core.errors import LedgerUnavailable
from domain.events.message import Message
from domain.events.recorded import RecordedEvent
from tests.builders import tracked, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

WRITERS = 6
EVENTS = 200_004


class Hole(Exception):
    pass


def test_six_writers_and_one_follower_miss_nothing(bench: Bench) -> None:
    seen = follow(bench, EVENTS)
    assert len(seen) == len(set(seen)) == EVENTS


def test_without_the_head_lock_the_follower_meets_a_hole(bench: Bench, monkeypatch) -> None:
    with _head_moved_without_lock(bench) as move:
        monkeypatch.setattr(appending, "_move_head", move)
        with pytest.raises(Hole):
            follow(bench, 60_000)


def follow(bench: Bench, events: int) -> list[bytes]:
    """Write from six threads, some of it rolled back, while reading; return the ids read."""
    written = threading.Event()
    threads = [
        threading.Thread(target=_write, args=(bench, events // WRITERS, seed))
        for seed in range(WRITERS)
    ]
    watcher = threading.Thread(target=lambda: ([t.join() for t in threads], written.set()))
    for thread in (*threads, watcher):
        thread.start()
    try:
        return _tail(bench, written)
    finally:
        watcher.join()


def _tail(bench: Bench, written: threading.Event) -> list[bytes]:
    seen: list[bytes] = []
    position = 0
    while True:
        done = written.is_set()
        batch = bench.ledger.read(bench.workspace, position, 1000)
        for recorded in batch:
            if recorded.position != position + 1:
                raise Hole(f"{recorded.position} follows {position}")
            position = recorded.position
            seen.append(_id(recorded))
        if done and not batch:
            return seen


def _id(recorded: RecordedEvent) -> bytes:
    assert recorded.event is not None
    return recorded.event.id.bytes


def _write(bench: Bench, events: int, seed: int) -> None:
    chance = random.Random(seed)
    store = LedgerDatastore(bench.dsn)
    ledger = Ledger(store, Workspaces(store), writers=2)
    left = events
    while left:
        size = min(left, chance.choice((1, 20, 100, 500)))
        batch = [tracked("V", user(f"u-{chance.randrange(500)}")) for _ in range(size)]
        if chance.random() < 0.02:
            _roll_back(ledger, store, bench.workspace, batch)
        _record(ledger, bench.workspace, batch)
        left -= size
    ledger.close()
    store.close()


def _record(ledger: Ledger, workspace: int, batch: list[Message]) -> None:
    """Record as a client does: a busy server may say that the ledger is unavailable, so try again."""
    for _ in range(20):
        with suppress(LedgerUnavailable):
            ledger.record(workspace, batch).result(60)
            return
    raise AssertionError("the ledger was unavailable twenty times in a row")


def _roll_back(ledger: Ledger, store: LedgerDatastore, workspace: int, batch) -> None:
    """Append the same messages in a transaction that is given up after all was written."""
    preparation = ledger._preparer(workspace)
    entries = preparation.prepare(batch)
    with store.raw_connection() as connection, connection.transaction(force_rollback=True):
        appending.append(connection, workspace, preparation.secret, entries, ())


@contextmanager
def _head_moved_without_lock(bench: Bench):
    """Give a `_move_head` that commits at once, on a connection of its own."""
    local, opened = threading.local(), []

    def move(_cursor, workspace: int, by: int) -> tuple[int, int, int]:
        if not hasattr(local, "connection"):
            local.connection = psycopg.connect(bench.dsn, autocommit=True)
            opened.append(local.connection)
        row = local.connection.execute(appending._MOVE_HEAD.replace("%b", "%s"), (by, workspace))
        return row.fetchone()

    yield move
    for connection in opened:
        connection.close()
