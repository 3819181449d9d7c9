"""`foldline` with one protection taken out, to see that the tests notice: python sabotage.py NAME serve ..."""

from __future__ import annotations

import sys
import threading
import time

import psycopg

SLOW_DISK_SECONDS = 0.02


def ack_before_commit() -> None:
    """Answer as soon as a flush begins, as a server does that trusts its memory."""
    from application.ledger.append.group_commit import GroupCommit
    from application.ledger.append.prepared import Receipt

    def flush(self, workspace, batch):
        for submission in batch:
            submission.answer.set_result(Receipt(0, len(submission.entries), 0, 0))
        time.sleep(SLOW_DISK_SECONDS)
        entries = [entry for submission in batch for entry in submission.entries]
        self._append_or_halve(workspace, entries, [])

    GroupCommit._flush = flush


def dedup_outside_the_transaction() -> None:
    """Remember what was seen at once, whatever becomes of the rest."""
    from application.ledger.append import append

    see, local = append._see_messages, threading.local()

    def seen_at_once(cursor, workspace, first):
        if not hasattr(local, "connection"):
            local.connection = _beside(cursor.connection)
        with local.connection.cursor(binary=True) as apart:
            fresh = see(apart, workspace, first)
        time.sleep(SLOW_DISK_SECONDS)
        return fresh

    append._see_messages = seen_at_once


def no_settings_gate() -> None:
    """Serve on whatever PostgreSQL there is."""
    from application.ledger import server_requirements

    server_requirements.require_safe_server = lambda _connection: None


def _beside(connection: psycopg.Connection) -> psycopg.Connection:
    from application.ledger.append import binary

    another = psycopg.connect(
        connection.info.dsn, password=connection.info.password, autocommit=True
    )
    another.execute("SET search_path = ledger")
    binary.register_dumpers(another)
    return another


SABOTAGES = {
    it.__name__: it for it in (ack_before_commit, dedup_outside_the_transaction, no_settings_gate)
}


if __name__ == "__main__":
    sys.path.insert(0, ".")
    SABOTAGES[sys.argv.pop(1)]()
    from interfaces.cli.main import main

    main()
