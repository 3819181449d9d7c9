"""The time from the answer to an ingest request until a read model shows its events."""

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
def sampled_positions(
    database: Database, read_model: str = "timeline"
) -> Iterator[list[tuple[int, float]]]:
    """Yields a list to which (position of a read model, monotonic seconds) is added every 5 ms.

    On exit, waits until every event is visible.
    """
    samples: list[tuple[int, float]] = []
    stop = threading.Event()

    def sample() -> None:
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            while not stop.wait(0.005):
                row = connection.execute(_POSITION, (read_model, database.workspace)).fetchone()
                samples.append((row[0] if row else 0, time.monotonic()))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield samples
        deadline = time.monotonic() + 60
        head = database.head()
        while not samples or samples[-1][0] < head:
            assert time.monotonic() < deadline, "the worker did not catch up"
            time.sleep(0.01)
    finally:
        stop.set()
        sampler.join()


def visible_after(
    acknowledged: list[Acknowledged], samples: list[tuple[int, float]]
) -> list[float]:
    """Returns the milliseconds from each answer to the first sample with its events; at least 0."""
    positions = [position for position, _ in samples]
    return [
        max(0.0, samples[bisect_left(positions, batch.position)][1] - batch.at) * 1000
        for batch in acknowledged
    ]
