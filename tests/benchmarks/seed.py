"""A ledger and read models with millions of events, made by SQL in the time of few requests.

Rows have the sizes, keys and distributions of real ones.  Indexes exist from the start, so they are packed
as loosely as those of a real server.  All payloads are equal, and the tree's leaves are not those of a real
ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import create_engine

from application.ledger.mapper import encode_state
from domain.core.identifiers import Identifier, stream_id
from domain.events.events import EventTracked
from projections import PROJECTIONS
from projections.runtime.checkpoint import create_tables
from tests.benchmarks.database import Database
from tests.benchmarks.messages import KINDS_OF_GOODS, NAMES, WEIGHTS, user_id
from tests.benchmarks.scale import scaled
from tests.benchmarks.seed_sql import (
    CATALOGUE,
    CHUNK,
    DRAFT,
    FINISH,
    LEDGER,
    ONCE,
    SEGMENTS,
    TIMELINE,
)

EVENTS = scaled(3_000_000, least=20_000)
DAYS = 180
PROFILES = 60_000
ANONYMOUS_FROM = 50_000
"""Profiles from this number on have only an anonymous id."""


def identifier_of(number: int) -> Identifier:
    """Returns the identifier of a seeded profile."""
    kind = "anonymous_id" if number >= ANONYMOUS_FROM else "user_id"
    return Identifier(kind, user_id(number))


def seed(database: Database, events: int, say: Callable[[str], None]) -> None:
    """Fills the ledger and the read models, which have then reached its head."""
    _make_read_models(database.dsn)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off; SET work_mem = '256MB'")
        _seed_profiles(connection, database.secret)
        start = datetime.now(UTC) - timedelta(days=DAYS)
        draft = {"events": events, "profiles": PROFILES, "start": start, "days": DAYS}
        _run(connection, DRAFT, draft | {"names": [*NAMES], "bounds": _bounds()})
        for first in range(1, events + 1, CHUNK):
            part = {"first": first, "last": min(events, first + CHUNK - 1)}
            part |= {"workspace": database.workspace, "goods": [*KINDS_OF_GOODS]}
            connection.execute(_with_state(LEDGER), part)
            connection.execute(TIMELINE, part)
            say(f"seeding {part['last']:,} of {events:,} events")
        for statement in (*ONCE, *CATALOGUE, SEGMENTS):
            connection.execute(statement, {"workspace": database.workspace})
        _set_checkpoints(connection, database.workspace, events)
        for statement in FINISH:
            connection.execute(statement)
    say("seeded, vacuumed and analysed")


def _make_read_models(dsn: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with engine.begin() as tx:
        create_tables(tx, PROJECTIONS)
    engine.dispose()


def _seed_profiles(connection: psycopg.Connection, secret: bytes) -> None:
    connection.execute(
        "CREATE UNLOGGED TABLE seed_profile (n int PRIMARY KEY, stream uuid, kind text, value text)"
    )
    with connection.cursor().copy("COPY seed_profile FROM STDIN") as copy:
        for number in range(PROFILES):
            identifier = identifier_of(number)
            copy.write_row((number, UUID(bytes=stream_id(secret, identifier)), *identifier))


def _bounds() -> list[float]:
    """Returns the bounds, from 0 to 1, between the event names of a random number."""
    total = sum(WEIGHTS)
    return [sum(WEIGHTS[:index]) / total for index in range(1, len(WEIGHTS))]


def _run(connection: psycopg.Connection, script: str, params: dict[str, object]) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement, params)


def _set_checkpoints(connection: psycopg.Connection, workspace: int, events: int) -> None:
    connection.cursor().executemany(
        "INSERT INTO projections.checkpoint (workspace, name, version, position, recorded_at)"
        " SELECT %s, %s, %s, %s, recorded_at FROM ledger.ledger_head WHERE workspace = %s",
        [
            (workspace, projection.name, projection.version, events, workspace)
            for projection in PROJECTIONS
        ],
    )


_DIGEST, _MESSAGE = UUID(int=0xD1), "00000000-0000-0000-0000-00000000face"


def _with_state(statement: str) -> str:
    """Replaces ``{state}`` in a statement by the bytes of a real event, with each row's own ids."""
    state = encode_state(
        EventTracked(
            id=_DIGEST,
            message_id=_MESSAGE,
            kind="track",
            name=NAMES[0],
            subject=Identifier("user_id", user_id(12_345)),
            occurred_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
            received_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
            source="segment",
            payload=msgspec.json.encode(_message()),
        )
    )
    columns = {
        _DIGEST.bytes: "uuid_send(digest)",
        _MESSAGE.encode(): "convert_to(digest::text, 'UTF8')",
    }
    marks = b"|".join(re.escape(mark) for mark in columns)
    parts = [
        columns.get(part) or f"'\\x{part.hex()}'::bytea"
        for part in re.split(b"(" + marks + b")", state)
    ]
    return statement.replace("{state}", " || ".join(parts))


def _message() -> dict[str, object]:
    return {
        "type": "track",
        "event": NAMES[0],
        "userId": user_id(12_345),
        "messageId": _MESSAGE,
        "timestamp": "2026-01-01T12:00:00.000Z",
        "properties": {
            "product_id": "sku-1234",
            "category": "monitor",
            "price": 123.45,
            "quantity": 2,
            "currency": "EUR",
            "total": 246.9,
        },
        "context": {
            "library": {"name": "analytics-node", "version": "2.3.0"},
            "sessionId": "s-12345-7",
            "locale": "de-DE",
            "ip": "198.51.100.7",
        },
    }
