"""`foldline` with one protection removed, to prove the tests: python sabotage.py NAME serve."""

from __future__ import annotations

import sys
import threading
import time

import psycopg

SLOW_DISK_SECONDS = 0.02


def ack_before_commit() -> None:
    """Answer when a flush begins, before it is durable."""
    from application.ledger.append.group_commit import GroupCommit
    from application.ledger.append.prepared import Receipt

    def flush(self, workspace, batch):
        for submission in batch:
            submission.receipt.set_result(Receipt(0, len(submission.entries), 0, 0))
        time.sleep(SLOW_DISK_SECONDS)
        entries = [entry for submission in batch for entry in submission.entries]
        self._append_bisecting(workspace, entries, [])

    GroupCommit._flush = flush


def dedup_outside_the_transaction() -> None:
    """Commit the digests of messages at once, even if the rest of the flush fails."""
    from application.ledger.append import seen

    insert, local = seen.insert_messages_seen, threading.local()

    def insert_at_once(cursor, workspace, first):
        if not hasattr(local, "connection"):
            local.connection = second_connection(cursor.connection)
        with local.connection.cursor(binary=True) as outside:
            before = insert(outside, workspace, first)
        time.sleep(SLOW_DISK_SECONDS)
        return before

    seen.insert_messages_seen = insert_at_once


def no_settings_gate() -> None:
    """Serve on a PostgreSQL server with any settings."""
    from application.ledger import server_requirements

    server_requirements.require_safe_server = lambda _connection: None


def second_connection(connection: psycopg.Connection) -> psycopg.Connection:
    """Open another connection to the same database, outside the transaction of the first."""
    from application.ledger.binary_arrays import register_dumpers

    other = psycopg.connect(connection.info.dsn, password=connection.info.password, autocommit=True)
    other.execute("SET search_path = ledger")
    register_dumpers(other)
    return other


SABOTAGES = {
    sabotage.__name__: sabotage
    for sabotage in (ack_before_commit, dedup_outside_the_transaction, no_settings_gate)
}


if __name__ == "__main__":
    sys.path.insert(0, ".")
    SABOTAGES[sys.argv.pop(1)]()
    from interfaces.cli.main import main

    main()
