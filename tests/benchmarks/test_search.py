"""The cost of a search among a million profiles."""

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
from tests.benchmarks.database import Database, temporary_database
from tests.benchmarks.quiet import gc_disabled
from tests.benchmarks.report import hold
from tests.benchmarks.scale import ROUNDS, scaled
from tests.benchmarks.server import Server, serving
from tests.benchmarks.times import percentile

pytestmark = pytest.mark.benchmark

PROFILES = scaled(1_000_000, least=20_000)
QUESTIONS = scaled(200, least=40)
MOST_MS = 50
START = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = ("Anna", "Bruno", "Chloé", "Dragan", "Elif", "Femi", "Goran", "Hana", "Ivo", "Jelena")
SYLLABLES = ("ba", "ko", "vić", "mar", "tin", "son", "lu", "ro", "sen", "ka", "di", "ne")

_BY_HAND = f"""
SELECT stream FROM {search}
WHERE workspace = %s AND trigrams @> %s AND strpos(terms, %s) > 0 LIMIT 51
"""


@pytest.fixture(scope="module")
def million_profiles(postgres_dsn, say) -> Iterator[tuple[Database, Server]]:
    """A server over a million profiles, which exist in the profile read model only."""
    with (
        temporary_database(postgres_dsn) as database,
        serving("--no-worker", dsn=database.dsn) as server,
    ):
        say(f"creating {PROFILES:,} profiles")
        create_profiles(database)
        yield database, server


def create_profiles(database: Database) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database.dsn))
    Projector(None, engine, PROJECTIONS).prepare()  # type: ignore[arg-type]
    chance = random.Random(1)
    for first in range(0, PROFILES, 100_000):
        states = [profile_state(n, chance) for n in range(first, min(first + 100_000, PROFILES))]
        with engine.begin() as tx:
            rows = [
                (UUID(bytes=stream_id(database.secret, profile.identifiers[0])), profile)
                for profile in states
            ]
            workspace = database.workspace
            copy_rows(
                tx,
                state,
                ((workspace, id_, profile.last_seen, encode(profile)) for id_, profile in rows),
            )
            texts = [(id_, profile.first_seen, search_text(profile)) for id_, profile in rows]
            copy_rows(
                tx,
                search,
                (
                    (workspace, *text, pack_int_array(trigrams(text[-1], workspace)))
                    for text in texts
                ),
            )
    engine.dispose()
    database.sql("VACUUM (ANALYZE)")


def profile_state(number: int, chance: random.Random) -> ProfileState:
    """Returns a profile with a name and an e-mail address, first seen at a time of its own."""
    family = "".join(chance.choices(SYLLABLES, k=3)).capitalize()
    name, at = f"{chance.choice(FIRST)} {family}", START + timedelta(seconds=number)
    attributes = {"name": name, "email": f"{family}.{number}@example{number % 97}.com"}
    return ProfileState(
        identifiers=(Identifier("user_id", f"user-{number:07d}"),),
        first_seen=at,
        last_seen=at,
        attributes={
            key: Register(at, number.to_bytes(16), msgspec.json.encode(value))
            for key, value in attributes.items()
        },
    )


def search_term(question: str, chance: random.Random) -> str:
    """Returns a random term of a kind of search."""
    number = chance.randrange(PROFILES)
    return {
        "id": f"user-{number:07d}",
        "id_prefix": f"user-{number:07d}"[:-2],
        "address_part": f".{number}@exam",
        "name_part": "".join(chance.choices(SYLLABLES, k=2)),
        "common_name": chance.choice(FIRST).lower(),
        "letters": chance.choice(FIRST)[:2],
        "no_match": f"nomatch{number}",
    }[question]


@pytest.mark.parametrize(
    "question",
    ["id", "id_prefix", "address_part", "name_part", "common_name", "letters", "no_match"],
)
def test_a_profile_is_found_among_a_million(question, million_profiles, report, say):
    database, server = million_profiles
    chance = random.Random(question)
    pairs = []
    with gc_disabled(), psycopg.connect(database.dsn, autocommit=True) as connection:
        for number in range(-1, ROUNDS):  # the first only warms up
            terms = [search_term(question, chance) for _ in range(QUESTIONS)]
            ours = uvloop.run(measure(terms, server.port, database.read_key))
            by_hand = [measure_by_hand(connection, database.workspace, term) for term in terms]
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
            against="hand-written SQL on the index, any 51 rows",
            most=MOST_MS,
            note=f"p99 of {QUESTIONS}, {PROFILES:,} profiles",
        )
    )


async def measure(terms: list[str], port: int, key: str) -> list[float]:
    durations = []
    async with Connection.several(port) as [connection]:
        for term in terms:
            started = time.perf_counter()
            await connection.expect(get(f"/v1/profiles?q={quote(term)}", key))
            durations.append((time.perf_counter() - started) * 1000)
    return durations


def measure_by_hand(connection: psycopg.Connection, workspace: int, term: str) -> float:
    pattern = search_pattern(fold_text(term))
    started = time.perf_counter()
    connection.execute(_BY_HAND, (workspace, trigrams(pattern, workspace), pattern)).fetchall()
    return (time.perf_counter() - started) * 1000
