"""One flush for many requests: a bad message fails alone, no request is answered too early."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Event

import psycopg
import pytest

from application.ledger.append.append import AppendResult
from application.ledger.append.group_commit import FlushLimits, GroupCommit
from application.ledger.append.prepared import MessagePreparer
from application.ledger.ledger import Ledger
from domain.core.errors import LedgerUnavailable, Overloaded
from tests.builders import tracked, user
from tests.fix_ledger import Bench

pytestmark = pytest.mark.storage

POISON = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF position('poison'::bytea IN NEW.state) > 0 THEN RAISE EXCEPTION 'poisonous'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER poison BEFORE INSERT ON ledger.event FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def test_a_poison_message_fails_alone_and_is_stored_as_rejected(bench: Bench) -> None:
    bench.sql(POISON)
    messages = [tracked("poison" if n in (3, 17) else "fine", user(f"u-{n}")) for n in range(40)]

    assert bench.record(*messages) == (38, 38, 0, 2, 0)
    assert [r.event.name for r in bench.all()] == ["fine"] * 38
    assert [r.position for r in bench.all()] == list(range(1, 39))
    rejected = bench.ledger.list_rejected(bench.workspace)
    assert {row.code for row in rejected} == {"not_storable"}
    assert {row.raw for row in rejected} == {messages[3].payload, messages[17].payload}


def test_each_request_of_a_flush_has_its_own_receipt(bench: Bench) -> None:
    with psycopg.connect(bench.dsn) as blocker:
        blocker.execute("SELECT FROM ledger.ledger_head FOR UPDATE")
        futures = [
            bench.ledger.record(bench.workspace, [tracked(message_id=id_) for id_ in ids])
            for ids in ("a", "ab", "bc")
        ]
        assert not any(future.done() for future in futures), "nothing is durable yet"
        blocker.rollback()
    receipts = [future.result(10) for future in futures]
    assert [receipt.recorded for receipt in receipts] == [1, 1, 1]
    assert [receipt.duplicates for receipt in receipts] == [0, 1, 1]


def test_a_ledger_head_that_stays_locked_fails_the_request_and_records_nothing(
    bench: Bench,
) -> None:
    with psycopg.connect(bench.dsn) as blocker:
        blocker.execute("SELECT FROM ledger.ledger_head FOR UPDATE")
        future = bench.ledger.record(bench.workspace, [tracked()])
        with pytest.raises(LedgerUnavailable, match="not acknowledged; retry shortly"):
            future.result(15)
    assert bench.all() == []


def test_a_lost_connection_is_replaced_and_the_flush_retried(bench: Bench) -> None:
    bench.record(tracked())
    bench.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'foldline' AND datname = current_database()"
    )
    assert bench.record(tracked()).recorded == 1


def test_a_reply_lost_after_the_commit_is_resolved_by_the_digests(bench: Bench) -> None:
    lost: list[AppendResult] = []

    def append_and_lose_the_first_reply(workspace, entries, rejections):
        result = bench.ledger._append(workspace, entries, rejections)
        if not lost:
            lost.append(result)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return result

    commits = GroupCommit(append_and_lose_the_first_reply)
    entries = MessagePreparer(bench.workspaces.secret(bench.workspace)).prepare(
        [tracked(), tracked()]
    )
    receipt = commits.submit(bench.workspace, entries).result(10)
    commits.close()
    assert receipt.position == 2
    assert len(bench.all()) == 2


def test_a_request_beyond_a_full_queue_is_refused_at_once() -> None:
    started, resume = Event(), Event()

    def slow(_workspace, entries, _rejections) -> AppendResult:
        started.set()
        resume.wait(10)
        return AppendResult(len(entries), frozenset(entry.digest for entry in entries))

    commits = GroupCommit(slow, limits=FlushLimits(max_flush=10, max_queued=20), writers=1)
    entries = MessagePreparer(bytes(32)).prepare([tracked() for _ in range(10)])
    futures: list[Future] = [commits.submit(1, entries)]
    assert started.wait(10)
    futures += [commits.submit(1, entries), commits.submit(1, entries)]
    with pytest.raises(Overloaded):
        commits.submit(1, entries)
    resume.set()
    assert all(future.result(10).position == 10 for future in futures)
    commits.close()


def test_closing_writes_the_queue_and_accepts_no_more(bench: Bench) -> None:
    ledger = Ledger(bench.store, bench.workspaces)
    futures = [ledger.record(bench.workspace, [tracked()]) for _ in range(50)]
    ledger.close()
    assert sum(future.result(0).recorded for future in futures) == 50
    with pytest.raises(LedgerUnavailable):
        ledger.record(bench.workspace, [tracked()])


def test_an_empty_request_is_answered(bench: Bench) -> None:
    assert bench.record() == (0, 0, 0, 0, 0)
