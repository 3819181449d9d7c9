"""What a long history costs: a person with 100,000 events against one with 1,000, now and in the past."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec
import pytest
import uvloop

from application.ledger.ledger import Ledger
from application.ledger.read.snapshots import SNAPSHOT_INTERVAL
from application.ledger.store import LedgerDatastore
from application.ledger.tables.workspaces import Workspaces
from domain.core.identifiers import Identifier
from domain.events.message import Message
from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database, lent
from tests.benchmarks.ingesting import settle
from tests.benchmarks.messages import track
from tests.benchmarks.quiet import still
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import Server, serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

EVENTS = {"long": scaled(100_000, least=4_000), "short": 1_000}
QUESTIONS = scaled(500, least=50)
MOST_MS = 50
AT_ONCE = 1_000
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def lived(postgres_dsn, say) -> Iterator[tuple[Database, Server]]:
    """A server over a ledger in which two people have done much, one a hundred times as much."""
    with lent(postgres_dsn) as database:
        record(database, say)
        with serving(dsn=database.dsn) as server:
            settle(database, wait=True)
            wait_for_snapshots(database)
            database.sql("VACUUM (ANALYZE)")
            yield database, server


@pytest.mark.parametrize("question", ["profile", "profile_as_of", "diff", "history"])
def test_a_long_history_costs_no_more_than_a_short_one(question, lived, report, say):
    database, server = lived
    pairs = []
    with still():
        for number in range(-1, ROUNDS):  # the first only warms up
            took = uvloop.run(answered(paths(question, database), server.port, database.read_key))
            if number < 0:
                continue
            pairs.append((percentile(took[0], 99), percentile(took[1], 99)))
            medians = ", ".join(f"{percentile(side, 50):.1f}" for side in took)
            say(
                f"{question} round {number + 1}: p99 {pairs[-1][0]:.1f} ms of {EVENTS['long']:,} events,"
                f" {pairs[-1][1]:.1f} ms of {EVENTS['short']:,} (p50 {medians})"
            )
    hold(
        report.rounds(
            f"{question}_at_100k",
            pairs,
            unit="ms",
            against="the same of a person with 1,000 events",
            at_most=2,
            most=MOST_MS if question.startswith("profile") else None,
            note=f"p99 of {QUESTIONS}",
        )
    )


def paths(question: str, database: Database) -> list[tuple[str, str]]:
    """Return what is asked about both people, at random places of the past where one is asked for."""
    chance = random.Random(question)
    head = database.head()

    def path(who: str) -> str:
        place = chance.randrange(head // 100, head)
        return (
            f"/v1/profiles/user_id:{who}"
            + {
                "profile": "",
                "profile_as_of": f"?as_of={place}",
                "diff": f"/diff?from={place}",
                "history": "/history",
            }[question]
        )

    return [(path("long"), path("short")) for _ in range(QUESTIONS)]


async def answered(
    asked: Sequence[tuple[str, str]], port: int, key: str
) -> tuple[list[float], list[float]]:
    """Ask about both people, in turns; return the milliseconds that each answer took."""
    took: tuple[list[float], list[float]] = ([], [])
    async with Connection.several(port) as [connection]:
        for number, sides in enumerate(asked):
            for side in (0, 1) if number % 2 else (1, 0):
                started = time.perf_counter()
                await connection.expect(get(sides[side], key))
                took[side].append((time.perf_counter() - started) * 1000)
    return took


def record(database: Database, say) -> None:
    """Record what the two did, each evenly over the whole ledger."""
    store = LedgerDatastore(database.dsn)
    ledger = Ledger(store, Workspaces(store))
    messages = done()
    for first in range(0, len(messages), AT_ONCE):
        ledger.record(database.workspace, messages[first : first + AT_ONCE]).result(60)
        if first % 20_000 == 0:
            say(f"recorded {first:,} of {len(messages):,} events")
    ledger.close()
    store.close()


def done() -> list[Message]:
    """Return what the two did, in order."""
    chance = random.Random(7)
    placed = chain.from_iterable(
        [(chance.random(), who, number) for number in range(count)] for who, count in EVENTS.items()
    )
    return [said(chance, who, number) for _, who, number in sorted(placed)]


def said(chance: random.Random, who: str, number: int) -> Message:
    """Return a message: one in twenty tells attributes, and half are of a browser that is known, too."""
    payload = track(chance)
    telling = number % 20 == 0
    if telling:
        payload = {
            "type": "identify",
            "traits": {f"trait_{it}": chance.random() for it in range(10)},
        }
    browser = Identifier("anonymous_id", f"{who}-{number % 3}")
    at = START + timedelta(minutes=number)
    return Message(
        kind="identify" if telling else "track",
        name="identify" if telling else payload["event"],
        message_id=f"{who}-{number}",
        identifiers=(Identifier("user_id", who), *([browser] if number % 2 else [])),
        occurred_at=at,
        received_at=at,
        source="segment",
        payload=msgspec.json.encode(payload),
    )


def wait_for_snapshots(database: Database) -> None:
    """Wait until the keeper has taken all snapshots that are due."""
    deadline = time.monotonic() + 120
    due = "SELECT count(*) FROM ledger.event WHERE originator_version %% %s = 0"
    while database.sql("SELECT count(*) FROM ledger.snapshot") < database.sql(
        due, SNAPSHOT_INTERVAL
    ):
        assert time.monotonic() < deadline, "the snapshots were not taken"
        time.sleep(0.1)
