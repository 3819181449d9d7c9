"""How long a trigger waits to be sent, what a bad endpoint costs the others, and what a million waiting cost."""

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
from tests.benchmarks.quiet import still
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import working
from tests.benchmarks.times import percentile
from tests.benchmarks.webhooks import SETTINGS, delivered, endpoints, receiver

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


def waits(database: Database, *, bad: int, a_second: int) -> list[float]:
    """Return milliseconds from the commit of each trigger to its webhook, of endpoints that answer."""
    with receiver() as received, working("sending", database.dsn, **SETTINGS):
        good = [f"e{it}" for it in range(ENDPOINTS)]
        endpoints(database, received.answers, good)
        endpoints(database, received.never_answers, [f"e{ENDPOINTS + it}" for it in range(bad)])
        sent: dict[str, float] = {}
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            settle(connection, database, good)
            began = time.perf_counter()
            for number in range(int(a_second * SECONDS / BATCH)):
                at = began + number * BATCH / a_second
                time.sleep(max(0.0, at - time.perf_counter()))
                now = datetime.now(UTC)
                rows = [
                    delivery(good[(number * BATCH + it) % len(good)], now) for it in range(BATCH)
                ]
                rows += [delivery(f"e{ENDPOINTS + it}", now) for it in range(bad)]
                with connection.transaction():
                    enqueue(connection, database.workspace, rows)
                sent |= {str(it.id): time.time() for it in rows[:BATCH]}
            delivered(database, good, len(good) + len(sent))
        came = received.came()
    return [(came[it] - at) * 1_000 for it, at in sent.items()]


def settle(connection: psycopg.Connection, database: Database, good: Sequence[str]) -> None:
    """Let each endpoint take something first, so that its connection is there."""
    now = datetime.now(UTC)
    enqueue(connection, database.workspace, [delivery(it, now) for it in good])
    delivered(database, good, len(good))


def test_a_trigger_is_sent_soon(fresh, report, say):
    pairs = []
    with still():
        for number in range(ROUNDS):
            found = waits(fresh(), bad=0, a_second=A_SECOND)
            pairs.append((percentile(found, 99), percentile(found, 50)))
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
    with still():
        for number in range(ROUNDS):
            with_bad = waits(fresh(), bad=2, a_second=A_SECOND // 2)
            without = waits(fresh(), bad=0, a_second=A_SECOND // 2)
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


def firing(database: Database) -> float:
    """Return milliseconds that a transaction takes that takes deliveries in, in the middle."""
    took = []
    now = datetime.now(UTC)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for _ in range(BATCHES):
            rows = [delivery("e0", now) for _ in range(BATCH)]
            began = time.perf_counter()
            with connection.transaction():
                enqueue(connection, database.workspace, rows)
            took.append((time.perf_counter() - began) * 1_000)
    return percentile(took, 50)


def test_a_million_that_wait_slow_nothing(fresh, report, say):
    full, empty = fresh(), fresh()
    say(f"letting {WAITING:,} deliveries wait")
    later = datetime.now(UTC) + timedelta(days=30)
    full.sql(
        """
        INSERT INTO ledger.delivery
            (workspace, id, rule, version, cause, person, lane, action, context, due_at)
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
    with still():
        for number in range(-1, ROUNDS):
            pair = firing(full), firing(empty)
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
            note=f"p50 of taking in {BATCH} deliveries, {WAITING:,} waiting",
        )
    )
    looked = looking(full), looking(empty)
    say(f"looking for what is due: {looked[0]:.2f} ms, {looked[1]:.2f} ms with none waiting")


def looking(database: Database) -> float:
    """Return milliseconds that looking for something due takes."""
    from application.ledger.tables import leases

    took = []
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("UPDATE ledger.delivery SET state = 'delivered' WHERE due_at < now()")
        for _ in range(50):
            began = time.perf_counter()
            leases.due_queues(connection, UUID(int=1), datetime.now(UTC))
            took.append((time.perf_counter() - began) * 1_000)
    return percentile(took, 50)
