"""Each protection of the append, with a test that fails without it."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from application.ledger.append import append as appending
from application.ledger.append import seen
from application.ledger.append.group_commit import FlushLimits
from application.ledger.binary_arrays import BigintArray, UuidArray
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from domain.core.errors import LedgerUnavailable
from domain.events.message import Message
from tests.builders import tracked, user
from tests.checker import History, Report, check
from tests.e2e.sabotage import second_connection
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage


@pytest.fixture
def dedup_outside_the_transaction(monkeypatch) -> Callable[[], None]:
    """Digests of messages are committed at once, even if the rest of the flush fails."""
    insert = seen.insert_messages_seen

    def insert_at_once(cursor, workspace, first):
        with second_connection(cursor.connection) as other, other.cursor(binary=True) as outside:
            return insert(outside, workspace, first)

    return lambda: monkeypatch.setattr(seen, "insert_messages_seen", insert_at_once)


@pytest.fixture
def unsorted_dedup(monkeypatch) -> Callable[[], None]:
    """Digests of messages are locked in random order."""
    chance = random.Random(1)

    def insert_unsorted(cursor, workspace, first):
        digests = [*first]
        chance.shuffle(digests)
        fingerprints = BigintArray(first[digest].fingerprint for digest in digests)
        cursor.execute(seen.INSERT_MESSAGES_SEEN, (workspace, UuidArray(digests), fingerprints))
        cursor.execute(seen.SELECT_MESSAGES_SEEN, (workspace, UuidArray(digests)))
        return dict(cursor.fetchall())

    return lambda: monkeypatch.setattr(seen, "insert_messages_seen", insert_unsorted)


def test_a_connection_lost_within_the_append_loses_no_message(bench: Bench, monkeypatch) -> None:
    report = lose_connections(bench, monkeypatch)
    assert not list(report.problems())


def test_with_dedup_outside_the_transaction_it_does(
    bench: Bench, monkeypatch, dedup_outside_the_transaction
) -> None:
    dedup_outside_the_transaction()
    assert lose_connections(bench, monkeypatch).lost


def test_overlapping_writers_record_each_message_once_and_never_deadlock(bench: Bench) -> None:
    report, deadlocks = overlap(bench, rounds=60)
    print(f"overlapping writers: {report.sentence}; {deadlocks} deadlocks")
    assert not list(report.problems())
    assert (report.unknown, deadlocks) == (0, 0)


@pytest.mark.nightly
def test_with_unsorted_dedup_they_deadlock(bench: Bench, unsorted_dedup) -> None:
    unsorted_dedup()
    _, deadlocks = overlap(bench, rounds=12)
    assert deadlocks


def lose_connections(bench: Bench, monkeypatch) -> Report:
    """Record messages while every other append loses its connection before it writes an event."""
    write, calls = appending._write_next, iter(range(1_000_000))

    def disconnect(connection, *rest):
        if next(calls) % 2 == 0:
            bench.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        return write(connection, *rest)

    monkeypatch.setattr(appending, "_write_next", disconnect)
    history = History()
    for turn in range(10):
        batch = [_message(f"m-{turn}-{n}") for n in range(5)]
        _note(history, "one", turn, batch)
        bench.record(*batch)
        history.learn([message.message_id for message in batch], "ok")
    return check(bench.dsn, bench.workspace, history)


def overlap(bench: Bench, rounds: int) -> tuple[Report, int]:
    """Record with six threads over two ledgers, a third of the messages twice; count deadlocks."""
    history, chance = History(), random.Random(7)
    pool = [_message(f"m-{n}") for n in range(rounds * 300)]
    _note(history, "all", 0, pool)
    batches = []
    for start in range(0, len(pool), 300):
        again = chance.sample(pool[: start + 300], 100)
        batch = pool[start : start + 300] + again
        chance.shuffle(batch)
        batches += [batch, again + batch[:100]]  # adjacent, so recorded at about the same time
    with psycopg.connect(bench.dsn, autocommit=True) as observer:
        before = _deadlocks(observer)
        stores = [LedgerDatastore(bench.dsn) for _ in range(2)]
        eager = FlushLimits(second_writer_at=1)  # as many concurrent appends as possible
        ledgers = [Ledger(store, Workspaces(store), limits=eager) for store in stores]
        with ThreadPoolExecutor(6) as threads:
            futures = [
                threads.submit(_record, ledgers[n % 2], bench.workspace, batch, history)
                for n, batch in enumerate(batches)
            ]
            for future in futures:
                future.result()
        for ledger, store in zip(ledgers, stores, strict=True):
            ledger.close()
            store.close()  # a session reports its statistics when it ends
        observer.execute("SELECT pg_stat_clear_snapshot()")
        return check(bench.dsn, bench.workspace, history), _deadlocks(observer) - before


def _record(ledger: Ledger, workspace: int, batch: list[Message], history: History) -> None:
    try:
        ledger.record(workspace, batch).result(30)
    except LedgerUnavailable:
        return
    history.learn([message.message_id for message in batch], "ok")


def _deadlocks(observer: psycopg.Connection) -> int:
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    row = observer.execute(sql).fetchone()
    return row[0] if row else 0


def _message(message_id: str) -> Message:
    return tracked("Viewed", user(f"u-{hash(message_id) % 50}"), message_id=message_id)


def _note(history: History, client: str, turn: int, batch: list[Message]) -> None:
    history.invoke(
        client, turn, [(message.message_id, message.raw or message.payload) for message in batch]
    )
