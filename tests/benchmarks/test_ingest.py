"""Ingest over HTTP, until durable, against COPY and against the library's `save`."""

from __future__ import annotations

import random

import pytest

from tests.benchmarks.database import Database
from tests.benchmarks.ingesting import BATCH, describe, settle
from tests.benchmarks.load import Load, Sent, prepared, send
from tests.benchmarks.messages import track
from tests.benchmarks.report import Measured, hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import serving
from tests.benchmarks.yardsticks import Copy, Saves

pytestmark = pytest.mark.benchmark
EVENTS = scaled(100_000, least=2 * BATCH)


def test_batch_ingest_reaches_a_third_of_copy(fresh, report, say):
    hold(measure_batches("batch_ingest", fresh(), report, say, "--no-worker", at_least=0.30))


def test_batch_ingest_with_worker(fresh, report, say):
    measure_batches("batch_ingest_with_worker", fresh(), report, say)


def test_batch_ingest_with_two_ids_reaches_a_third_of_copy(fresh, report, say):
    options = {"two_ids": True, "at_least": 0.30}
    hold(measure_batches("batch_ingest_two_ids", fresh(), report, say, "--no-worker", **options))


def test_single_ingest_is_four_times_as_fast_as_the_library(fresh, report, say):
    hold(measure_singles("single_ingest", fresh(), fresh(), report, say, "--no-worker", at_least=4))


def test_single_ingest_with_worker(fresh, report, say):
    measure_singles("single_ingest_with_worker", fresh(), fresh(), report, say)


def measure_batches(
    name: str, database: Database, report, say, *options: str, two_ids: bool = False, **bar
) -> Measured:
    """Measures ledger rows a second: batches over HTTP, then COPY of the resulting rows."""
    pairs, sent = [], []
    with serving(*options, dsn=database.dsn) as server:
        load = Load(port=server.port, key=database.write_key, events=EVENTS, two_ids=two_ids)
        send(Load(port=server.port, key=database.write_key, events=20 * BATCH))
        with Copy(database.dsn, "ledger.event") as yardstick:
            for number in range(ROUNDS):
                settle(database, wait=not options)
                before = database.head()
                with prepared(load) as sender:
                    result = sender.go()
                settle(database, wait=not options)
                rows = yardstick.rows(before)
                assert len(rows) >= load.events if two_ids else len(rows) == load.events
                seconds = yardstick.copy(rows, BATCH)
                pairs.append((len(rows) / result.seconds, len(rows) / seconds))
                sent.append(result)
                say(f"{name} round {number + 1}: {describe(result)}; COPY {pairs[-1][1]:,.0f}/s")
    against = f"COPY, {BATCH} rows a transaction"
    return report.rounds(name, pairs, unit="rows/s", against=against, note=summary(sent), **bar)


def measure_singles(
    name: str, database: Database, other: Database, report, say, *options: str, **bar
) -> Measured:
    """Measures events a second: requests over 64 connections, then one save after the other."""
    pairs, sent = [], []
    chance = random.Random()
    with serving(*options, dsn=database.dsn) as server, Saves(other.dsn) as yardstick:
        load = Load(
            port=server.port,
            key=database.write_key,
            events=scaled(30_000, least=1_000),
            per_request=1,
            connections=64,
        )
        send(Load(port=server.port, key=database.write_key, events=1_000, per_request=1))
        yardstick.save([track(chance) for _ in range(50)])
        for number in range(ROUNDS):
            settle(database, wait=not options)
            result = send(load)
            settle(database, wait=not options)
            saves = [track(chance) for _ in range(scaled(3_000, least=100))]
            pairs.append((result.rate, len(saves) / yardstick.save(saves)))
            sent.append(result)
            say(f"{name} round {number + 1}: {describe(result)}; save {pairs[-1][1]:,.0f}/s")
    against = "eventsourcing's Application.save"
    return report.rounds(name, pairs, unit="events/s", against=against, note=summary(sent), **bar)


def summary(sent: list[Sent]) -> str:
    p99, cpu = max(result.p99 for result in sent), max(result.cpu for result in sent)
    return f"a request's p99 {p99:.0f} ms; sender {cpu:.0%} of a core"
