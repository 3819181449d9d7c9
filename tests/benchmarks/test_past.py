"""The cost of a long history: a profile of 100,000 events against one of 1,000."""

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
from tests.benchmarks.database import Database, temporary_database
from tests.benchmarks.ingesting import settle
from tests.benchmarks.messages import track
from tests.benchmarks.quiet import gc_disabled
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
def served(postgres_dsn, say) -> Iterator[tuple[Database, Server]]:
    """A server over a ledger of two profiles, one with a hundred times as many events."""
    with temporary_database(postgres_dsn) as database:
        record(database, say)
        with serving(dsn=database.dsn) as server:
            settle(database, wait=True)
            wait_for_snapshots(database)
            database.sql("VACUUM (ANALYZE)")
            yield database, server


@pytest.mark.parametrize("question", ["profile", "profile_as_of", "diff", "history"])
def test_a_long_history_costs_no_more_than_a_short_one(question, served, report, say):
    database, server = served
    pairs = []
    with gc_disabled():
        for number in range(-1, ROUNDS):  # the first only warms up
            sides = uvloop.run(measure(paths(question, database), server.port, database.read_key))
            if number < 0:
                continue
            pairs.append((percentile(sides[0], 99), percentile(sides[1], 99)))
            medians = ", ".join(f"{percentile(side, 50):.1f}" for side in sides)
            say(
                f"{question} round {number + 1}: p99 {pairs[-1][0]:.1f} ms of {EVENTS['long']:,} events,"
                f" {pairs[-1][1]:.1f} ms of {EVENTS['short']:,} (p50 {medians})"
            )
    hold(
        report.rounds(
            f"{question}_at_100k",
            pairs,
            unit="ms",
            against="the same for a profile of 1,000 events",
            at_most=2,
            most=MOST_MS if question.startswith("profile") else None,
            note=f"p99 of {QUESTIONS}",
        )
    )


def paths(question: str, database: Database) -> list[tuple[str, str]]:
    """Returns paths of queries about both profiles, at random positions where one is needed."""
    chance = random.Random(question)
    head = database.head()

    def path(user: str) -> str:
        position = chance.randrange(head // 100, head)
        return (
            f"/v1/profiles/user_id:{user}"
            + {
                "profile": "",
                "profile_as_of": f"?as_of={position}",
                "diff": f"/diff?from={position}",
                "history": "/history",
            }[question]
        )

    return [(path("long"), path("short")) for _ in range(QUESTIONS)]


async def measure(
    queries: Sequence[tuple[str, str]], port: int, key: str
) -> tuple[list[float], list[float]]:
    """Queries both profiles in turns; returns the milliseconds of each answer."""
    durations: tuple[list[float], list[float]] = ([], [])
    async with Connection.several(port) as [connection]:
        for number, paths_of_both in enumerate(queries):
            for side in (0, 1) if number % 2 else (1, 0):
                started = time.perf_counter()
                await connection.expect(get(paths_of_both[side], key))
                durations[side].append((time.perf_counter() - started) * 1000)
    return durations


def record(database: Database, say) -> None:
    """Records the events of both profiles, each spread evenly over the whole ledger."""
    store = LedgerDatastore(database.dsn)
    ledger = Ledger(store, Workspaces(store))
    messages = make_messages()
    for first in range(0, len(messages), AT_ONCE):
        ledger.record(database.workspace, messages[first : first + AT_ONCE]).result(60)
        if first % 20_000 == 0:
            say(f"recorded {first:,} of {len(messages):,} events")
    ledger.close()
    store.close()


def make_messages() -> list[Message]:
    """Returns the messages of both profiles, in order."""
    chance = random.Random(7)
    placed = chain.from_iterable(
        [(chance.random(), user, number) for number in range(count)]
        for user, count in EVENTS.items()
    )
    return [make_message(chance, user, number) for _, user, number in sorted(placed)]


def make_message(chance: random.Random, user: str, number: int) -> Message:
    """Returns a message: one in twenty has attributes, and every other one an anonymous id too."""
    payload = track(chance)
    is_identify = number % 20 == 0
    if is_identify:
        payload = {
            "type": "identify",
            "traits": {f"trait_{n}": chance.random() for n in range(10)},
        }
    browser = Identifier("anonymous_id", f"{user}-{number % 3}")
    at = START + timedelta(minutes=number)
    return Message(
        kind="identify" if is_identify else "track",
        name="identify" if is_identify else payload["event"],
        message_id=f"{user}-{number}",
        identifiers=(Identifier("user_id", user), *([browser] if number % 2 else [])),
        occurred_at=at,
        received_at=at,
        source="segment",
        payload=msgspec.json.encode(payload),
    )


def wait_for_snapshots(database: Database) -> None:
    """Waits until the snapshotter has taken all snapshots that are due."""
    deadline = time.monotonic() + 120
    due = "SELECT count(*) FROM ledger.event WHERE originator_version %% %s = 0"
    while database.sql("SELECT count(*) FROM ledger.snapshot") < database.sql(
        due, SNAPSHOT_INTERVAL
    ):
        assert time.monotonic() < deadline, "the snapshots were not taken"
        time.sleep(0.1)
