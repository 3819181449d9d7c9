"""How long an event takes from its answer to being visible."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.benchmarks.database import Database
from tests.benchmarks.paced import Acknowledged

_POSITION = """
SELECT position FROM projections.checkpoint WHERE name = %s AND workspace = %s
"""


@contextmanager
def watched(database: Database, read_model: str = "timeline") -> Iterator[list[tuple[int, float]]]:
    """Give a list that grows by (position of a read model, monotonic seconds) every 5 ms while inside.

    On leaving, waits until everything is visible.
    """
    looks: list[tuple[int, float]] = []
    stop = threading.Event()

    def look() -> None:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            while not stop.wait(0.005):
                row = connection.execute(_POSITION, (read_model, database.workspace)).fetchone()
                looks.append((row[0] if row else 0, time.monotonic()))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield looks
        deadline = time.monotonic() + 60
        head = database.head()
        while not looks or looks[-1][0] < head:
            assert time.monotonic() < deadline, "the worker did not catch up"
            time.sleep(0.01)
    finally:
        stop.set()
        watcher.join()


def visible_after(acknowledged: list[Acknowledged], looks: list[tuple[int, float]]) -> list[float]:
    """Return the milliseconds from each answer to the first look that saw its events; at least 0."""
    positions = [position for position, _ in looks]
    return [
        max(0.0, looks[bisect_left(positions, it.position)][1] - it.at) * 1000
        for it in acknowledged
    ]
