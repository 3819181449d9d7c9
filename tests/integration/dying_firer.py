"""What fires triggers, dying at the very round trip to the database that it is told: run by `test_firing`.

Forks for each line of its standard input (before or after, and which round trip), and says how the child
ended and how many round trips it made.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import psycopg

from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from interfaces.bootstrap import create_projection_engine
from interfaces.trigger_source import create_firing_worker

DIED = 137


def work(dsn: str, workspace: int, when: str, at: int) -> int:
    """Fire what is due, and return how many round trips that took."""
    store, engine = LedgerDatastore(dsn), create_projection_engine(dsn)
    ledger = Ledger(store, Workspaces(store), writers=0)
    with store.connection(), engine.connect():
        pass  # that connections are made is not what may go wrong here
    count, original = 0, psycopg.Connection.wait

    def wait(connection: Any, *args: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        mine = count == at
        if mine and when == "before":
            os._exit(DIED)
        found = original(connection, *args, **named)
        if mine:
            os._exit(DIED)
        return found

    psycopg.Connection.wait = wait  # type: ignore[method-assign]
    create_firing_worker(ledger, engine).fire_due(workspace)
    return count


def main() -> None:
    dsn, workspace = sys.argv[1], int(sys.argv[2])
    for line in sys.stdin:
        when, at = line.split()
        child = os.fork()
        if not child:
            print(work(dsn, workspace, when, int(at)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
