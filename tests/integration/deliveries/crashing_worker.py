"""A delivery worker that dies at a given round trip to the database; run by `test_crashes`.

Each line of standard input is an instant, "before" or "after", and the number of a round trip.  A forked
child works at that instant and dies there; its exit code is printed.
"""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime
from typing import Any

import psycopg

from application.deliveries.networks import parse_networks
from application.deliveries.service import DeliveryService
from application.ledger.ledger import Ledger
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces

DIED = 137
"""Exit code of a child that died."""


class Trap:
    """Counts round trips, and ends the process before or after one of them, as kill -9 does."""

    def __init__(self, when: str, round_trip: int) -> None:
        self.when, self.round_trip, self.count = when, round_trip, 0
        self._lock = threading.Lock()
        self._wait = psycopg.Connection.wait

    def set(self) -> None:
        trap = self

        def wait(connection: Any, *args: Any, **named: Any) -> Any:
            with trap._lock:
                trap.count += 1
                sprung = trap.count == trap.round_trip
            if sprung and trap.when == "before":
                os._exit(DIED)
            result = trap._wait(connection, *args, **named)
            if sprung:
                os._exit(DIED)
            return result

        psycopg.Connection.wait = wait  # type: ignore[method-assign]


def work(dsn: str, now: str, when: str, round_trip: int) -> None:
    """Executes what is due, until the trap ends the process."""
    store = LedgerDatastore(dsn)
    ledger = Ledger(store, Workspaces(store))
    with store.connection(), store.connection(), store.connection():
        pass  # the round trips that open connections are not counted
    instant = datetime.fromisoformat(now)
    deliveries = DeliveryService(
        store, ledger, key=bytes(32), allowed=parse_networks("127.0.0.0/8"), now=lambda: instant
    )
    Trap(when, round_trip).set()
    deliveries.worker.run_until_idle()


def main() -> None:
    dsn = sys.argv[1]
    for line in sys.stdin:
        now, when, round_trip = line.split()
        child = os.fork()
        if not child:
            work(dsn, now, when, int(round_trip))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
