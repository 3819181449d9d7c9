"""What finding somebody among a million profiles costs."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

import msgspec
import psycopg
import pytest
import uvloop
from sqlalchemy import create_engine

from domain.core.identifiers import Identifier, stream_id
from domain.core.lww_register import Register
from domain.profiles.state import ProfileState, encode
from projections import PROJECTIONS
from projections.kit.arrays import pack_int_array
from projections.kit.copying import copy_rows
from projections.profile.search_terms import fold_text, search_pattern, search_text, trigrams
from projections.profile.tables import search, state
from projections.runtime.projector import Projector
from tests.benchmarks.client import Connection, get
from tests.benchmarks.database import Database, lent
from tests.benchmarks.quiet import still
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import Server, serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

PEOPLE = scaled(1_000_000, least=20_000)
QUESTIONS = scaled(200, least=40)
MOST_MS = 50
START = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = ("Anna", "Bruno", "Chloé", "Dragan", "Elif", "Femi", "Goran", "Hana", "Ivo", "Jelena")
SYLLABLES = ("ba", "ko", "vić", "mar", "tin", "son", "lu", "ro", "sen", "ka", "di", "ne")

_BY_HAND = """
SELECT stream FROM read_profile_v2.search
WHERE workspace = %s AND grams @> %s AND strpos(words, %s) > 0 LIMIT 51
"""


@pytest.fixture(scope="module")
def crowd(postgres_dsn, say) -> Iterator[tuple[Database, Server]]:
    """A server over a million people whom only the profile read model knows."""
    with lent(postgres_dsn) as database, serving("--no-worker", dsn=database.dsn) as server:
        say(f"making {PEOPLE:,} people")
        settle(database)
        yield database, server


def settle(database: Database) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    Projector(None, engine, PROJECTIONS).prepare()  # type: ignore[arg-type]
    chance = random.Random(1)
    for first in range(0, PEOPLE, 100_000):
        people = [person(n, chance) for n in range(first, min(first + 100_000, PEOPLE))]
        with engine.begin() as tx:
            rows = [
                (UUID(bytes=stream_id(database.secret, it.identifiers[0])), it) for it in people
            ]
            own = database.workspace
            copy_rows(tx, state, ((own, at, it.last_seen, encode(it)) for at, it in rows))
            words = [(at, it.first_seen, search_text(it)) for at, it in rows]
            copy_rows(
                tx, search, ((own, *it, pack_int_array(trigrams(it[-1], own))) for it in words)
            )
    engine.dispose()
    database.sql("VACUUM (ANALYZE)")


def person(number: int, chance: random.Random) -> ProfileState:
    """Return somebody with a name and an address, first seen at a time of their own."""
    family = "".join(chance.choices(SYLLABLES, k=3)).capitalize()
    name, at = f"{chance.choice(FIRST)} {family}", START + timedelta(seconds=number)
    said = {"name": name, "email": f"{family}.{number}@example{number % 97}.com"}
    return ProfileState(
        identifiers=(Identifier("user_id", f"user-{number:07d}"),),
        first_seen=at,
        last_seen=at,
        attributes={
            key: Register(at, number.to_bytes(16), msgspec.json.encode(value))
            for key, value in said.items()
        },
    )


def asked(question: str, chance: random.Random) -> str:
    number = chance.randrange(PEOPLE)
    return {
        "id": f"user-{number:07d}",
        "id_prefix": f"user-{number:07d}"[:-2],
        "address_part": f".{number}@exam",
        "name_part": "".join(chance.choices(SYLLABLES, k=2)),
        "common_name": chance.choice(FIRST).lower(),
        "letters": chance.choice(FIRST)[:2],
        "nobody": f"nobody{number}",
    }[question]


@pytest.mark.parametrize(
    "question",
    ["id", "id_prefix", "address_part", "name_part", "common_name", "letters", "nobody"],
)
def test_somebody_is_found_among_a_million(question, crowd, report, say):
    database, server = crowd
    chance = random.Random(question)
    pairs = []
    with still(), psycopg.connect(database.dsn, autocommit=True) as connection:
        for number in range(-1, ROUNDS):  # the first only warms up
            texts = [asked(question, chance) for _ in range(QUESTIONS)]
            ours = uvloop.run(answered(texts, server.port, database.read_key))
            by_hand = [answered_by_hand(connection, database.workspace, it) for it in texts]
            if number >= 0:
                pairs.append((percentile(ours, 99), percentile(by_hand, 99)))
                say(
                    f"{question} round {number + 1}: p99 {pairs[-1][0]:.1f} ms by HTTP,"
                    f" {pairs[-1][1]:.1f} ms by hand"
                )
    hold(
        report.rounds(
            f"search_{question}",
            pairs,
            unit="ms",
            against="the index asked by hand-written SQL, any 51 rows",
            most=MOST_MS,
            note=f"p99 of {QUESTIONS}, {PEOPLE:,} profiles",
        )
    )


async def answered(texts: list[str], port: int, key: str) -> list[float]:
    took = []
    async with Connection.several(port) as [connection]:
        for text in texts:
            started = time.perf_counter()
            await connection.expect(get(f"/v1/profiles?q={quote(text)}", key))
            took.append((time.perf_counter() - started) * 1000)
    return took


def answered_by_hand(connection: psycopg.Connection, workspace: int, text: str) -> float:
    wanted = search_pattern(fold_text(text))
    started = time.perf_counter()
    connection.execute(_BY_HAND, (workspace, trigrams(wanted, workspace), wanted)).fetchall()
    return (time.perf_counter() - started) * 1000
