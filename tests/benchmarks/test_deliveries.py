"""Delivery latency, alone, beside endpoints that never answer, and beside a million waiting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest

from application.ledger.tables.outbox import NewDelivery, enqueue
from tests.benchmarks.database import Database
from tests.benchmarks.quiet import gc_disabled
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import working
from tests.benchmarks.times import percentile
from tests.benchmarks.webhooks import SETTINGS, create_endpoints, receiver, wait_until_delivered

pytestmark = pytest.mark.benchmark

A_SECOND, SECONDS = 500, scaled(10, least=2)
ENDPOINTS = 20
WAITING = scaled(1_000_000, least=20_000)
BATCH, BATCHES = 25, scaled(400, least=40)
CONTEXT = msgspec.json.encode(
    {"event": {"total": 99.5, "currency": "EUR"}, "customer": {"plan": "pro"}, "depth": 0}
)


def delivery(endpoint: str, due: datetime) -> NewDelivery:
    action = b'{"webhook": {"endpoint": "%b"}}' % endpoint.encode()
    return NewDelivery(uuid4(), "welcome", 1, "position 1", uuid4(), action, CONTEXT, due)


def latencies(database: Database, *, bad: int, a_second: int) -> list[float]:
    """Returns the milliseconds from each delivery's commit to its webhook, of good endpoints."""
    with receiver() as sink, working("sending", database.dsn, **SETTINGS):
        good = [f"e{n}" for n in range(ENDPOINTS)]
        create_endpoints(database, sink.answers, good)
        create_endpoints(database, sink.never_answers, [f"e{ENDPOINTS + n}" for n in range(bad)])
        sent_at: dict[str, float] = {}
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            warm_up(connection, database, good)
            began = time.perf_counter()
            for number in range(int(a_second * SECONDS / BATCH)):
                at = began + number * BATCH / a_second
                time.sleep(max(0.0, at - time.perf_counter()))
                now = datetime.now(UTC)
                rows = [delivery(good[(number * BATCH + n) % len(good)], now) for n in range(BATCH)]
                rows += [delivery(f"e{ENDPOINTS + n}", now) for n in range(bad)]
                with connection.transaction():
                    enqueue(connection, database.workspace, rows)
                sent_at |= {str(row.id): time.time() for row in rows[:BATCH]}
            wait_until_delivered(database, good, len(good) + len(sent_at))
        arrivals = sink.arrivals()
    return [(arrivals[id_] - at) * 1_000 for id_, at in sent_at.items()]


def warm_up(connection: psycopg.Connection, database: Database, good: Sequence[str]) -> None:
    """Delivers once to each endpoint, so that its connection is open."""
    now = datetime.now(UTC)
    enqueue(connection, database.workspace, [delivery(endpoint, now) for endpoint in good])
    wait_until_delivered(database, good, len(good))


def test_a_due_delivery_is_sent_within_half_a_second(fresh, report, say):
    pairs = []
    with gc_disabled():
        for number in range(ROUNDS):
            measured = latencies(fresh(), bad=0, a_second=A_SECOND)
            pairs.append((percentile(measured, 99), percentile(measured, 50)))
            say(f"round {number + 1}: p99 {pairs[-1][0]:.0f} ms, p50 {pairs[-1][1]:.0f} ms")
    hold(
        report.rounds(
            "webhook_wait",
            pairs,
            unit="ms",
            against="its median",
            most=500,
            note=f"p99 from commit to received, {A_SECOND}/s to {ENDPOINTS} endpoints",
        )
    )


def test_endpoints_that_never_answer_cost_the_others_little(fresh, report, say):
    pairs = []
    with gc_disabled():
        for number in range(ROUNDS):
            with_bad = latencies(fresh(), bad=2, a_second=A_SECOND // 2)
            without = latencies(fresh(), bad=0, a_second=A_SECOND // 2)
            pairs.append((percentile(with_bad, 99), percentile(without, 99)))
            say(f"round {number + 1}: p99 {pairs[-1][0]:.0f} ms, {pairs[-1][1]:.0f} ms without")
    hold(
        report.rounds(
            "webhook_bad_endpoint",
            pairs,
            unit="ms",
            against="the same without the two that never answer",
            at_most=1.5,
            note=f"p99 of {ENDPOINTS} that answer, {A_SECOND // 2}/s",
        )
    )


def enqueueing(database: Database) -> float:
    """Returns the median milliseconds of a transaction that enqueues deliveries."""
    durations = []
    now = datetime.now(UTC)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for _ in range(BATCHES):
            rows = [delivery("e0", now) for _ in range(BATCH)]
            began = time.perf_counter()
            with connection.transaction():
                enqueue(connection, database.workspace, rows)
            durations.append((time.perf_counter() - began) * 1_000)
    return percentile(durations, 50)


def test_a_million_waiting_deliveries_slow_nothing(fresh, report, say):
    full, empty = fresh(), fresh()
    say(f"adding {WAITING:,} waiting deliveries")
    later = datetime.now(UTC) + timedelta(days=30)
    full.sql(
        """
        INSERT INTO ledger.delivery
            (workspace, id, rule, version, cause, "person", lane, action, context, due_at)
        SELECT %s, gen_random_uuid(), 'welcome', 1, 'position ' || n, gen_random_uuid(), 'e' || n %% 50,
            '{"webhook": {"endpoint": "e0"}}', %s, %s::timestamptz + n * interval '1 second'
        FROM generate_series(1, %s) AS n
        """,
        full.workspace,
        CONTEXT,
        later,
        WAITING,
    )
    full.sql("VACUUM (ANALYZE) ledger.delivery")
    pairs = []
    with gc_disabled():
        for number in range(-1, ROUNDS):
            pair = enqueueing(full), enqueueing(empty)
            if number >= 0:
                pairs.append(pair)
                say(f"round {number + 1}: {pair[0]:.2f} ms, {pair[1]:.2f} ms with none waiting")
    hold(
        report.rounds(
            "firing_waiting_million",
            pairs,
            unit="ms",
            against="the same with none waiting",
            at_most=1.2,
            note=f"p50 of enqueueing {BATCH} deliveries, {WAITING:,} waiting",
        )
    )
    pair = finding_due(full), finding_due(empty)
    say(f"finding due queues: {pair[0]:.2f} ms, {pair[1]:.2f} ms with none waiting")


def finding_due(database: Database) -> float:
    """Returns the median milliseconds of the query for due queues."""
    from application.ledger.tables import leases

    durations = []
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("UPDATE ledger.delivery SET state = 'delivered' WHERE due_at < now()")
        for _ in range(50):
            began = time.perf_counter()
            leases.due_queues(connection, UUID(int=1), datetime.now(UTC))
            durations.append((time.perf_counter() - began) * 1_000)
    return percentile(durations, 50)
