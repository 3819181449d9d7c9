"""Each protection of the append at work, and taken out: then the same check has to go red."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from application.ledger.append import append as appending
from application.ledger.append.binary import BigintArray, UuidArray
from application.ledger.append.group_commit import FlushLimits
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from domain.core.errors import LedgerUnavailable
from domain.events.message import Message
from tests.builders import tracked, user
from tests.checker import History, Report, check
from tests.e2e.sabotage import _beside
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage


@pytest.fixture
def dedup_outside_the_transaction(monkeypatch) -> Callable[[], None]:
    """What was seen is remembered at once, whatever becomes of the rest."""
    see = appending._see_messages

    def seen_at_once(cursor, workspace, first):
        with _beside(cursor.connection) as apart, apart.cursor(binary=True) as beside:
            return see(beside, workspace, first)

    return lambda: monkeypatch.setattr(appending, "_see_messages", seen_at_once)


@pytest.fixture
def unsorted_dedup(monkeypatch) -> Callable[[], None]:
    """Message ids are locked in the order in which they came."""
    chance = random.Random(1)

    def seen_as_they_came(cursor, workspace, first):
        digests = [*first]
        chance.shuffle(digests)
        contents = BigintArray(first[digest].content for digest in digests)
        cursor.execute(appending._SEE_MESSAGES, (workspace, UuidArray(digests), contents))
        cursor.execute(appending._SEEN_BEFORE, (workspace, UuidArray(digests)))
        return dict(cursor.fetchall())

    return lambda: monkeypatch.setattr(appending, "_see_messages", seen_as_they_came)


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


def test_with_unsorted_dedup_they_deadlock(bench: Bench, unsorted_dedup) -> None:
    unsorted_dedup()
    _, deadlocks = overlap(bench, rounds=12)
    assert deadlocks


def lose_connections(bench: Bench, monkeypatch) -> Report:
    """Record messages while every other append loses its connection before it wrote an event."""
    write, calls = appending._write_next, iter(range(1_000_000))

    def cut_off(connection, *rest):
        if next(calls) % 2 == 0:
            bench.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        return write(connection, *rest)

    monkeypatch.setattr(appending, "_write_next", cut_off)
    history = History()
    for turn in range(10):
        batch = [_message(f"m-{turn}-{n}") for n in range(5)]
        _note(history, "one", turn, batch)
        bench.record(*batch)
        history.learn([it.message_id for it in batch], "ok")
    return check(bench.dsn, bench.workspace, history)


def overlap(bench: Bench, rounds: int) -> tuple[Report, int]:
    """Record from six threads over two ledgers, a third of all messages twice; count deadlocks."""
    history, chance = History(), random.Random(7)
    pool = [_message(f"m-{n}") for n in range(rounds * 300)]
    _note(history, "all", 0, pool)
    batches = []
    for start in range(0, len(pool), 300):
        again = chance.sample(pool[: start + 300], 100)
        batch = pool[start : start + 300] + again
        chance.shuffle(batch)
        batches += [batch, again + batch[:100]]  # at about the same time
    with psycopg.connect(bench.dsn, autocommit=True) as watching:
        before = _deadlocks(watching)
        stores = [LedgerDatastore(bench.dsn) for _ in range(2)]
        eager = FlushLimits(second_writer_at=1)  # as many appends at the same time as there can be
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
            store.close()  # a session hands in its statistics when it ends
        watching.execute("SELECT pg_stat_clear_snapshot()")
        return check(bench.dsn, bench.workspace, history), _deadlocks(watching) - before


def _record(ledger: Ledger, workspace: int, batch: list[Message], history: History) -> None:
    try:
        ledger.record(workspace, batch).result(30)
    except LedgerUnavailable:
        return
    history.learn([it.message_id for it in batch], "ok")


def _deadlocks(watching: psycopg.Connection) -> int:
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    row = watching.execute(sql).fetchone()
    return row[0] if row else 0


def _message(message_id: str) -> Message:
    return tracked("Viewed", user(f"u-{hash(message_id) % 50}"), message_id=message_id)


def _note(history: History, client: str, turn: int, batch: list[Message]) -> None:
    history.invoke(client, turn, [(it.message_id, it.raw or it.payload) for it in batch])
