"""A firing worker that dies at a given round trip to the database; run by `test_firing`.

Each line of standard input is "before" or "after" and the number of a round trip.  A forked child fires
what is due and dies there, or prints the number of its round trips; then its exit code is printed.
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
"""Exit code of a child that died."""


def work(dsn: str, workspace: int, when: str, round_trip: int) -> int:
    """Fires what is due; returns the number of round trips that it took."""
    store, engine = LedgerDatastore(dsn), create_projection_engine(dsn)
    ledger = Ledger(store, Workspaces(store), writers=0)
    with store.connection(), engine.connect():
        pass  # the round trips that open connections are not counted
    count, original = 0, psycopg.Connection.wait

    def wait(connection: Any, *args: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        dies = count == round_trip
        if dies and when == "before":
            os._exit(DIED)
        result = original(connection, *args, **named)
        if dies:
            os._exit(DIED)
        return result

    psycopg.Connection.wait = wait  # type: ignore[method-assign]
    create_firing_worker(ledger, engine).fire_due(workspace)
    return count


def main() -> None:
    dsn, workspace = sys.argv[1], int(sys.argv[2])
    for line in sys.stdin:
        when, round_trip = line.split()
        child = os.fork()
        if not child:
            print(work(dsn, workspace, when, int(round_trip)), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
