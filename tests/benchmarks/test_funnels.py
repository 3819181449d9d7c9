"""Funnels at three million events, of channel messages and of events, against SQL."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
import pytest
import uvloop
from sqlalchemy import create_engine

from projections import PROJECTIONS
from projections.channel_funnels.tables import BITS
from projections.runtime.checkpoint import create_tables
from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database, temporary_database
from tests.benchmarks.funnels_sql import BY_HAND, FUNNEL_BY_HAND, MEMBERS, MESSAGES, TIMELINE
from tests.benchmarks.quiet import gc_disabled
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

PROFILES, CAMPAIGNS = 60_000, 200
SENT = scaled(6_000, least=100)
"""Messages of a campaign; with the events about them three million events in total."""

EVENTS = scaled(3_000_000, least=20_000)
QUESTIONS = scaled(200, least=20)
MOST_MS = 20
START = 1_750_000_000

NAMES = ("product_viewed", "added_to_cart", "checkout_started", "purchased")
"""Events of the timeline."""


@pytest.fixture(scope="module")
def full(postgres_dsn, say) -> Iterator[Database]:
    """A database with read models of three million events about messages."""
    with temporary_database(postgres_dsn) as database:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn)
        )
        with engine.begin() as tx:
            create_tables(tx, PROJECTIONS)
        engine.dispose()
        facts = {
            "workspace": database.workspace,
            "profiles": PROFILES,
            "campaigns": CAMPAIGNS,
            "sent": SENT,
            "start": START,
            "failed": BITS["failed"],
        }
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = off; SET work_mem = '256MB'")
            for statement in (MEMBERS, MESSAGES):
                connection.execute(statement, facts)
                say(f"seeding: {statement.strip().splitlines()[0][:60]}")
            connection.execute("VACUUM ANALYZE")
        yield database


@pytest.fixture(scope="module")
def busy(full, say) -> Database:
    """The same database with three million other events in the timeline."""
    names = ", ".join(f"'{name}'" for name in NAMES)
    facts = {"workspace": full.workspace, "profiles": PROFILES, "start": START, "events": EVENTS}
    with psycopg.connect(full.dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(TIMELINE.replace("%(names)s", names), facts)
        connection.execute("VACUUM ANALYZE")
    say(f"seeded {EVENTS:,} events")
    return full


def questions(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yields paths of queries about a campaign, with the campaign."""
    variants = (
        "",
        "&by=day",
        "&by=template",
        "&by=channel&by=day",
        "&from=2025-06-15&to=2027-01-01",
    )
    for number in range(QUESTIONS):
        campaign = f"campaign-{chance.randrange(CAMPAIGNS)}"
        yield f"/v1/channel-funnels?campaign={campaign}{variants[number % len(variants)]}", campaign


def test_a_campaigns_funnel_within_twenty_milliseconds(full, report, say) -> None:
    chance, pairs = random.Random(7), []
    with (
        serving("--no-worker", dsn=full.dsn) as server,
        psycopg.connect(full.dsn, autocommit=True) as connection,
        gc_disabled(),
    ):
        connection.execute("SET jit = off")
        for number in range(-1, ROUNDS):  # the first only warms both up
            queries = list(questions(chance))
            by_hand = partial(query_by_hand, connection, full)
            ours, hands = uvloop.run(measure(queries, server.port, full.read_key, by_hand))
            if number >= 0:
                pairs.append((percentile(ours, 99), percentile(hands, 99)))
                say(
                    f"channel_funnel round {number + 1}: p50 {percentile(ours, 50):.1f} ms,"
                    f" p99 {pairs[-1][0]:.1f} ms; by hand {percentile(hands, 50):.1f} and"
                    f" {pairs[-1][1]:.1f} ms"
                )
        overview = uvloop.run(measure_repeatedly("?by=campaign", server.port, full.read_key, 5))
        lost = "/profiles?campaign=campaign-7&step=delivered&lost=true"
        profiles = uvloop.run(measure_repeatedly(lost, server.port, full.read_key, 50))
    say(
        f"all campaigns: {percentile(overview, 50):.0f} ms; profiles: {percentile(profiles, 99):.1f} ms p99"
    )
    hold(
        report.rounds(
            "channel_funnel",
            pairs,
            unit="ms",
            against="p99 of hand-written SQL",
            most=MOST_MS,
            note=f"p99 of {QUESTIONS}, {SENT:,} messages a campaign",
        )
    )


def query_by_hand(connection: psycopg.Connection, full: Database, campaign: str) -> tuple:
    params = {"workspace": full.workspace, "campaign": campaign}
    row = connection.execute(BY_HAND, params).fetchone()
    assert row is not None
    return row


async def measure(
    queries: list[tuple[str, str]], port: int, key: str, by_hand: Callable[[str], tuple]
) -> tuple[list[float], list[float]]:
    """Queries both sides in turns; returns the milliseconds of ours and of the hand-written SQL."""
    ours, hands = [], []
    async with Connection.several(port) as [connection]:
        for path, campaign in queries:
            started = time.perf_counter()
            body = await connection.expect(get(path, key))
            between = time.perf_counter()
            row = by_hand(campaign)
            hands.append((time.perf_counter() - between) * 1000)
            ours.append((between - started) * 1000)
            if "&" not in path:
                [funnel] = json.loads(body)["channel_funnels"]
                assert [step["messages"] for step in funnel["steps"]] == [*row[:4]]
                assert [step["profiles"] for step in funnel["steps"]] == [*row[4:8]]
    return ours, hands


async def measure_repeatedly(path: str, port: int, key: str, times: int) -> list[float]:
    durations = []
    async with Connection.several(port) as [connection]:
        for _ in range(times):
            started = time.perf_counter()
            await connection.expect(get(f"/v1/channel-funnels{path}", key))
            durations.append((time.perf_counter() - started) * 1000)
    return durations


def test_a_funnel_over_three_million_events(busy, report, say) -> None:
    names = [name for name in NAMES if name != "checkout_started"]
    body = json.dumps({"steps": [{"event": name} for name in names]}).encode()
    pairs = []
    with (
        serving("--no-worker", dsn=busy.dsn) as server,
        psycopg.connect(busy.dsn, autocommit=True) as connection,
        gc_disabled(),
    ):
        connection.execute("SET jit = off; SET work_mem = '64MB'")
        for number in range(-1, ROUNDS):
            started = time.perf_counter()
            answer = uvloop.run(post_query("/v1/funnels/query", server.port, busy.read_key, body))
            between = time.perf_counter()
            params = {"workspace": busy.workspace, "names": names}
            row = connection.execute(FUNNEL_BY_HAND, params).fetchone()
            ended = time.perf_counter()
            assert row is not None
            assert [step["profiles"] for step in answer["steps"]] == [*row[:3]]
            assert answer["steps"][1]["seconds_p50"] == pytest.approx(
                row[3].total_seconds(), abs=1e-5
            )
            if number >= 0:
                pairs.append((between - started, ended - between))
                say(
                    f"event_funnel round {number + 1}: {pairs[-1][0]:.2f} s, by hand {pairs[-1][1]:.2f} s"
                )
    report.rounds(
        "event_funnel",
        pairs,
        unit="s",
        against="one hand-written SQL",
        note=f"three steps, {EVENTS:,} events of {PROFILES:,} profiles",
    )


async def post_query(path: str, port: int, key: str, body: bytes) -> dict:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with Connection.several(port) as [connection]:
        return json.loads(await connection.expect(head.encode() + body))
