"""A worker that dies at the very round trip to the database that it is told: run by `test_crashes`.

Forks for each line of its standard input (when, before or after, and at which round trip), and says how
the child ended.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime
from typing import Any

import psycopg

from application.deliveries.addresses import parse_networks
from application.deliveries.service import DeliveryService
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces

DIED = 137


class Trap:
    """Counts round trips, and ends the process at one of them as kill -9 does."""

    def __init__(self, when: str, at: int) -> None:
        self.when, self.at, self.count = when, at, 0
        self._lock = threading.Lock()
        self._wait = psycopg.Connection.wait

    def set(self) -> None:
        trap = self

        def wait(connection: Any, *args: Any, **named: Any) -> Any:
            with trap._lock:
                trap.count += 1
                mine = trap.count == trap.at
            if mine and trap.when == "before":
                os._exit(DIED)
            found = trap._wait(connection, *args, **named)
            if mine:
                os._exit(DIED)
            return found

        psycopg.Connection.wait = wait  # type: ignore[method-assign]


def work(dsn: str, now: str, when: str, at: int) -> None:
    """Do what is due, or as much of it as it lives to do."""
    store = LedgerDatastore(dsn)
    ledger = Ledger(store, Workspaces(store))
    with store.connection(), store.connection(), store.connection():
        pass  # that connections are made is not what may go wrong here
    clock = datetime.fromisoformat(now)
    outgoing = DeliveryService(
        store, ledger, key=bytes(32), allowed=parse_networks("127.0.0.0/8"), now=lambda: clock
    )
    Trap(when, at).set()
    outgoing.worker.run_until_idle()


def main() -> None:
    dsn = sys.argv[1]
    for line in sys.stdin:
        now, when, at = line.split()
        child = os.fork()
        if not child:
            work(dsn, now, when, int(at))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
