"""A ledger of three million events: queries against hand-written SQL, and ingest."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
import pytest
import uvloop

from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database
from tests.benchmarks.handwritten import fetch
from tests.benchmarks.ingesting import BATCH, describe, settle
from tests.benchmarks.load import Load, send
from tests.benchmarks.process import free_port, running
from tests.benchmarks.questions import KINDS, Question, handwritten_path, same, sample_events
from tests.benchmarks.quiet import gc_disabled
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.seed import EVENTS
from tests.benchmarks.server import Server, serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark


QUESTIONS = scaled(500, least=50)
INGESTED = scaled(50_000, least=2 * BATCH)
MOST_MS = 25


@pytest.mark.parametrize("kind", KINDS)
def test_questions_within_twice_the_hand_written_sql(kind, full, report, say):
    pairs, bare = [], []
    with serving(dsn=full.dsn) as server, handwritten_server(full.dsn) as port, gc_disabled():
        settle(full, wait=True)
        for number in range(-1, ROUNDS):  # the first only warms both up
            queries = questions(kind, full)
            durations = uvloop.run(measure(queries, server.port, full.read_key, port))
            sides = [[seconds[side] * 1000 for seconds in durations] for side in (0, 1)]
            if number < 0:
                continue
            pairs.append(tuple(percentile(side, 99) for side in sides))
            bare.append(percentile(bare_sql(full.dsn, queries), 99))
            medians = ", ".join(f"{percentile(side, 50):.1f}" for side in sides)
            say(
                f"{kind} round {number + 1}: p99 {pairs[-1][0]:.1f} ms, by hand {pairs[-1][1]:.1f} ms,"
                f" bare SQL {bare[-1]:.1f} ms (p50 {medians})"
            )
    hold(
        report.rounds(
            kind,
            pairs,
            unit="ms",
            against="p99 of hand-written SQL over HTTP",
            at_most=2,
            most=MOST_MS,
            note=f"p99 of {len(queries)}; bare SQL {sorted(bare)[len(bare) // 2]:.1f} ms",
        )
    )


def test_ingest_at_3m_is_as_fast_as_into_an_empty_ledger(full, fresh, report, say):
    empty = fresh()
    with (
        serving("--no-worker", dsn=full.dsn) as ours,
        serving("--no-worker", dsn=empty.dsn) as other,
    ):
        sides = ((full, ours), (empty, other))
        against = "the same into an empty ledger"
        # The first write to a page after a checkpoint logs the whole page, and a large ledger has many
        # pages.  Both are measured: some time after a checkpoint, and at the worst, right after one.
        name, count = "ingest_at_3m", 1 + 2 * ROUNDS
        pairs = ingested(name, sides, count, say)[1:]
        steady = report.rounds(name, pairs, unit="events/s", against=against, at_least=0.8)
        name = "ingest_at_3m_after_checkpoint"
        pairs = ingested(name, sides, ROUNDS, say, checkpoint=True)
        report.rounds(name, pairs, unit="events/s", against=against, note="one before each round")
    hold(steady)


def ingested(
    name: str,
    sides: Sequence[tuple[Database, Server]],
    rounds: int,
    say,
    *,
    checkpoint: bool = False,
) -> list[tuple[float, float]]:
    """Returns the rates of both sides in each round; the side that goes first alternates."""
    pairs = []
    for number in range(rounds):
        rates = {}
        for database, server in sides if number % 2 else sides[::-1]:
            if checkpoint:
                settle(database, wait=False)
            result = send(Load(port=server.port, key=database.write_key, events=INGESTED))
            rates[database.dsn] = result.rate
            say(f"{name} round {number + 1}, {database.head():,} events: {describe(result)}")
        first, second = (rates[database.dsn] for database, _ in sides)
        pairs.append((first, second))
    return pairs


def questions(kind: str, database: Database) -> list[Question]:
    """Returns the queries of one round, for both sides."""
    events = sample_events(database, QUESTIONS, EVENTS)
    return [KINDS[kind](event, database.workspace) for event in events]


@contextmanager
def handwritten_server(dsn: str) -> Iterator[int]:
    """Runs the yardstick's server until exit; yields its port."""
    port = free_port()
    with running([sys.executable, "-m", "tests.benchmarks.handwritten", dsn, str(port)]):
        uvloop.run(wait_for_listener(port))
        yield port


async def wait_for_listener(port: int) -> None:
    """Waits until the port accepts connections."""
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError):
                async with Connection.several(port):
                    return
            await asyncio.sleep(0.02)


async def measure(
    queries: Sequence[Question], port: int, key: str, handwritten_port: int
) -> list[tuple[float, float]]:
    """Sends each query to both sides, in turns; returns the seconds of each."""
    durations = []
    async with Connection.several(port, handwritten_port) as connections:
        for number, question in enumerate(queries):
            requests = get(question.path, key), get(handwritten_path(question), key)
            seconds, bodies = [0.0, 0.0], [b"", b""]
            for side in (0, 1) if number % 2 else (1, 0):
                started = time.perf_counter()
                bodies[side] = await connections[side].expect(requests[side])
                seconds[side] = time.perf_counter() - started
            assert same(*bodies), question
            durations.append((seconds[0], seconds[1]))
    return durations


def bare_sql(dsn: str, queries: Sequence[Question]) -> list[float]:
    """Returns the milliseconds of each query's SQL without a server."""
    durations = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for question in queries:
            started = time.perf_counter()
            fetch(connection, question.params)
            durations.append((time.perf_counter() - started) * 1000)
    return durations
