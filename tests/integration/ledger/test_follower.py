"""A reader that follows the ledger misses no event, whatever the writers do.

The test of the test: without the lock on the ledger head the same reader finds a gap.
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
EVENTS = 200_016


class Gap(Exception):
    pass


@pytest.mark.parametrize("events", [EVENTS // 4, pytest.param(EVENTS, marks=pytest.mark.nightly)])
def test_six_writers_and_one_follower_miss_nothing(bench: Bench, events: int) -> None:
    seen = follow(bench, events)
    assert len(seen) == len(set(seen)) == events


def test_without_the_head_lock_the_follower_finds_a_gap(bench: Bench, monkeypatch) -> None:
    with _head_moved_without_lock(bench) as advance:
        monkeypatch.setattr(appending, "_advance_head", advance)
        with pytest.raises(Gap):
            follow(bench, 60_000)


def follow(bench: Bench, events: int) -> list[bytes]:
    """Write with six threads, partly rolled back, while reading; return the ids that were read."""
    written = threading.Event()
    threads = [
        threading.Thread(target=_write, args=(bench, events // WRITERS, seed))
        for seed in range(WRITERS)
    ]
    waiter = threading.Thread(target=lambda: ([t.join() for t in threads], written.set()))
    for thread in (*threads, waiter):
        thread.start()
    try:
        return _tail(bench, written)
    finally:
        waiter.join()


def _tail(bench: Bench, written: threading.Event) -> list[bytes]:
    seen: list[bytes] = []
    position = 0
    while True:
        done = written.is_set()
        batch = bench.ledger.read(bench.workspace, position, 1000)
        for recorded in batch:
            if recorded.position != position + 1:
                raise Gap(f"{recorded.position} follows {position}")
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
    """Record as a client does: retry while a busy server answers that the ledger is unavailable."""
    for _ in range(20):
        with suppress(LedgerUnavailable):
            ledger.record(workspace, batch).result(60)
            return
    raise AssertionError("the ledger was unavailable twenty times in a row")


def _roll_back(ledger: Ledger, store: LedgerDatastore, workspace: int, batch) -> None:
    """Append messages in a transaction that is rolled back after everything was written."""
    preparer = ledger.preparer(workspace)
    entries = preparer.prepare(batch)
    with store.raw_connection() as connection, connection.transaction(force_rollback=True):
        appending.append(connection, workspace, preparer.secret, entries, ())


@contextmanager
def _head_moved_without_lock(bench: Bench):
    """Yield an `_advance_head` that commits at once, on another connection."""
    local, opened = threading.local(), []

    def advance(_cursor, workspace: int, count: int) -> tuple[int, int, int]:
        if not hasattr(local, "connection"):
            local.connection = psycopg.connect(bench.dsn, autocommit=True)
            opened.append(local.connection)
        sql = appending._ADVANCE_HEAD.replace("%b", "%s")
        return local.connection.execute(sql, (count, workspace)).fetchone()

    yield advance
    for connection in opened:
        connection.close()
