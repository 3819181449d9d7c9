"""Funnels at three million events: of messages by campaign, and of what people did, against hand-written SQL."""

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
from projections.channel_funnels.tables import BITS, message
from projections.identity import member
from projections.runtime.checkpoint import create_tables
from projections.timeline.tables import timeline
from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database, lent
from tests.benchmarks.quiet import still
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

PEOPLE, CAMPAIGNS = 60_000, 200
SENT = scaled(6_000, least=100)
"""Messages of a campaign; with what comes of them three million events."""

EVENTS = scaled(3_000_000, least=20_000)
QUESTIONS = scaled(200, least=20)
MOST_MS = 20
START = 1_750_000_000

# Everybody has a visitor's name too; one click in ten comes under it.
MEMBERS = f"""
INSERT INTO {member} (workspace, stream, kind, value, person, guessed)
SELECT %(workspace)s, md5(kind || n)::uuid, kind, kind || n, md5('user_id' || n)::uuid, false
FROM generate_series(0, %(people)s - 1) AS n, unnest(ARRAY['user_id', 'anonymous_id']) AS kind
"""

MESSAGES = f"""
WITH drawn AS MATERIALIZED (
    SELECT c, i, (i * 7919 + c * 300) %% %(people)s AS n,
        (%(start)s + c * 75000 + i * 3) * 1000000::bigint + floor(random() * 1e6)::bigint AS sent,
        CASE WHEN random() < 0.95 THEN (2 - ln(random()) * 60) * 1e6 END AS delivered,
        CASE WHEN random() < 0.42 THEN -ln(random()) * 2e4 * 1e6 END AS read,
        CASE WHEN random() < 0.38 THEN -ln(random()) * 60 * 1e6 END AS clicked,
        random() AS chance
    FROM generate_series(0, %(campaigns)s - 1) AS c, generate_series(0, %(sent)s - 1) AS i
), known AS (
    SELECT *, md5(c || '/' || i)::uuid AS id, clicked + read + delivered IS NOT NULL AS clicks,
        clicked + read + delivered IS NOT NULL AND chance < 0.1 AS elsewhere FROM drawn
)
INSERT INTO {message} (workspace, id, stream, by_user, shared, first_at, sent, delivered, read, clicked,
    low, reached, campaign, channel, message, template, outcomes)
SELECT %(workspace)s, id, md5('user_id' || n)::uuid, true, elsewhere, sent, sent,
    sent + delivered::bigint, sent + (delivered + read)::bigint,
    CASE WHEN NOT elsewhere THEN sent + (delivered + read + clicked)::bigint END, 1,
    CASE WHEN clicks AND NOT elsewhere THEN 15 WHEN delivered + read IS NOT NULL THEN 7
        WHEN delivered IS NOT NULL THEN 3 ELSE 1 END
    | CASE WHEN chance > 0.99 THEN %(failed)s ELSE 0 END,
    'campaign-' || c, (ARRAY['email', 'push', 'sms', 'whatsapp'])[1 + c %% 4], 'message-' || i,
    'template-' || c || '-' || i %% 2,
    CASE WHEN chance > 0.99 THEN jsonb_build_object('failed', sent) ELSE '{{}}' END
FROM known
UNION ALL
SELECT %(workspace)s, id, md5('anonymous_id' || n)::uuid, false, true,
    sent + (delivered + read + clicked)::bigint, NULL, NULL, NULL,
    sent + (delivered + read + clicked)::bigint, 1, 15,
    'campaign-' || c, (ARRAY['email', 'push', 'sms', 'whatsapp'])[1 + c %% 4], 'message-' || i,
    NULL, '{{}}'
FROM known WHERE elsewhere
"""

TIMELINE = f"""
INSERT INTO {timeline} (workspace, position, stream, ordinal, id, occurred_at,
    received_at, recorded_at, kind, name, subject, message_id, source, properties)
SELECT %(workspace)s, position,
    md5((ARRAY['user_id', 'user_id', 'anonymous_id'])[1 + position %% 3]
        || floor(%(people)s * power(random(), 2))::int)::uuid,
    0, gen_random_uuid(), at, at, at, 'track', (ARRAY[%(names)s])[1 + floor(4 * power(random(), 1.5))::int],
    'user_id', position::text, 'segment', jsonb_build_object('total', position %% 500)
FROM (
    SELECT position, to_timestamp(%(start)s + position * 5) AS at
    FROM generate_series(1, %(events)s::bigint) AS position
) AS drawn
"""

NAMES = ("product_viewed", "added_to_cart", "checkout_started", "purchased")

BY_HAND = f"""
WITH mine AS MATERIALIZED (
    SELECT coalesce(m.person, f.stream) AS person, f.id, min(sent) AS sent, min(delivered) AS delivered,
        min(read) AS read, min(clicked) AS clicked, bit_or(reached) AS reached
    FROM {message} AS f
    LEFT JOIN {member} AS m ON m.workspace = f.workspace AND m.stream = f.stream
    WHERE f.workspace = %(workspace)s AND campaign = %(campaign)s
    GROUP BY 1, 2
)
SELECT count(*), count(coalesce(delivered, read, clicked)), count(coalesce(read, clicked)), count(clicked),
    count(DISTINCT person), count(DISTINCT person) FILTER (WHERE coalesce(delivered, read, clicked) > 0),
    count(DISTINCT person) FILTER (WHERE coalesce(read, clicked) > 0),
    count(DISTINCT person) FILTER (WHERE clicked > 0),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ((delivered - sent) / 1e6)::float8),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ((read - delivered) / 1e6)::float8),
    percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY ((clicked - read) / 1e6)::float8)
FROM mine
"""

# In SQL each step is the earliest after the step before: no window, no filters.
FUNNEL_BY_HAND = f"""
WITH e AS MATERIALIZED (
    SELECT coalesce(m.person, t.stream) AS person, t.occurred_at AS at, t.name
    FROM {timeline} AS t
    LEFT JOIN {member} AS m ON m.workspace = t.workspace AND m.stream = t.stream
    WHERE t.workspace = %(workspace)s AND t.name = ANY (%(names)s)
), a AS (SELECT person, min(at) AS at FROM e WHERE name = 'product_viewed' GROUP BY 1
), b AS (SELECT e.person, min(e.at) AS at, min(e.at - a.at) AS took FROM e JOIN a USING (person)
    WHERE name = 'added_to_cart' AND e.at >= a.at GROUP BY 1
), c AS (SELECT e.person, min(e.at) AS at, min(e.at - b.at) AS took FROM e JOIN b USING (person)
    WHERE name = 'purchased' AND e.at >= b.at GROUP BY 1
)
SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), (SELECT count(*) FROM c),
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FROM b),
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) FROM c)
"""


@pytest.fixture(scope="module")
def full(postgres_dsn, say) -> Iterator[Database]:
    """A database with what three million events about messages come to."""
    with lent(postgres_dsn) as database:
        engine = create_engine(
            "postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn)
        )
        with engine.begin() as tx:
            create_tables(tx, PROJECTIONS)
        engine.dispose()
        facts = {
            "workspace": database.workspace,
            "people": PEOPLE,
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
    """The same with three million other events in the timeline."""
    names = ", ".join(f"'{it}'" for it in NAMES)
    facts = {"workspace": full.workspace, "people": PEOPLE, "start": START, "events": EVENTS}
    with psycopg.connect(full.dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute(TIMELINE.replace("%(names)s", names), facts)
        connection.execute("VACUUM ANALYZE")
    say(f"seeded {EVENTS:,} events")
    return full


def questions(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Give out what is asked of a campaign, and the campaign."""
    forms = ("", "&by=day", "&by=template", "&by=channel&by=day", "&from=2025-06-15&to=2027-01-01")
    for number in range(QUESTIONS):
        campaign = f"campaign-{chance.randrange(CAMPAIGNS)}"
        yield f"/v1/channel-funnels?campaign={campaign}{forms[number % len(forms)]}", campaign


def test_a_campaigns_funnel_within_twenty_milliseconds(full, report, say) -> None:
    chance, pairs = random.Random(7), []
    with (
        serving("--no-worker", dsn=full.dsn) as server,
        psycopg.connect(full.dsn, autocommit=True) as connection,
        still(),
    ):
        connection.execute("SET jit = off")
        for number in range(-1, ROUNDS):  # the first only warms both up
            asked = list(questions(chance))
            by_hand = partial(hand, connection, full)
            ours, hands = uvloop.run(answered(asked, server.port, full.read_key, by_hand))
            if number >= 0:
                pairs.append((percentile(ours, 99), percentile(hands, 99)))
                say(
                    f"channel_funnel round {number + 1}: p50 {percentile(ours, 50):.1f} ms,"
                    f" p99 {pairs[-1][0]:.1f} ms; by hand {percentile(hands, 50):.1f} and"
                    f" {pairs[-1][1]:.1f} ms"
                )
        overview = uvloop.run(again("?by=campaign", server.port, full.read_key, 5))
        lost = "/profiles?campaign=campaign-7&step=delivered&lost=true"
        people = uvloop.run(again(lost, server.port, full.read_key, 50))
    say(
        f"every campaign at once: {percentile(overview, 50):.0f} ms; people: {percentile(people, 99):.1f} ms p99"
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


def hand(connection: psycopg.Connection, full: Database, campaign: str) -> tuple:
    asked = {"workspace": full.workspace, "campaign": campaign}
    row = connection.execute(BY_HAND, asked).fetchone()
    assert row is not None
    return row


async def answered(
    asked: list[tuple[str, str]], port: int, key: str, by_hand: Callable[[str], tuple]
) -> tuple[list[float], list[float]]:
    """Ask both sides in turns; return the milliseconds of ours and of the hand-written SQL."""
    ours, hands = [], []
    async with Connection.several(port) as [connection]:
        for path, campaign in asked:
            started = time.perf_counter()
            body = await connection.expect(get(path, key))
            between = time.perf_counter()
            row = by_hand(campaign)
            hands.append((time.perf_counter() - between) * 1000)
            ours.append((between - started) * 1000)
            if "&" not in path:
                [found] = json.loads(body)["channel_funnels"]
                assert [it["messages"] for it in found["steps"]] == [*row[:4]]
                assert [it["profiles"] for it in found["steps"]] == [*row[4:8]]
    return ours, hands


async def again(path: str, port: int, key: str, times: int) -> list[float]:
    took = []
    async with Connection.several(port) as [connection]:
        for _ in range(times):
            started = time.perf_counter()
            await connection.expect(get(f"/v1/channel-funnels{path}", key))
            took.append((time.perf_counter() - started) * 1000)
    return took


def test_a_funnel_over_three_million_events(busy, report, say) -> None:
    names = [it for it in NAMES if it != "checkout_started"]
    body = json.dumps({"steps": [{"event": it} for it in names]}).encode()
    pairs = []
    with (
        serving("--no-worker", dsn=busy.dsn) as server,
        psycopg.connect(busy.dsn, autocommit=True) as connection,
        still(),
    ):
        connection.execute("SET jit = off; SET work_mem = '64MB'")
        for number in range(-1, ROUNDS):
            started = time.perf_counter()
            found = uvloop.run(posted("/v1/funnels/query", server.port, busy.read_key, body))
            between = time.perf_counter()
            asked = {"workspace": busy.workspace, "names": names}
            row = connection.execute(FUNNEL_BY_HAND, asked).fetchone()
            ended = time.perf_counter()
            assert row is not None
            assert [it["profiles"] for it in found["steps"]] == [*row[:3]]
            assert found["steps"][1]["seconds_p50"] == pytest.approx(
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
        note=f"three steps, {EVENTS:,} events of {PEOPLE:,} people",
    )


async def posted(path: str, port: int, key: str, body: bytes) -> dict:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with Connection.several(port) as [connection]:
        return json.loads(await connection.expect(head.encode() + body))
