"""A ledger and read models with millions of events, made by SQL: no client could send them in the time.

Rows have the sizes, keys and distributions of real ones.  Indexes are there from the start, so they are as
loosely packed as those that grew.  Payloads are all alike, and leaves of the tree are not those of a real ledger.
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
from projections.segments.tables import stream
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
PEOPLE = 60_000
ANONYMOUS_FROM = 50_000
"""People with this number or a higher one are known by an anonymous id alone."""


def person(number: int) -> Identifier:
    """Return by which identifier a seeded person is known."""
    kind = "anonymous_id" if number >= ANONYMOUS_FROM else "user_id"
    return Identifier(kind, user_id(number))


def seed(database: Database, events: int, say: Callable[[str], None]) -> None:
    """Fill the ledger and the read models; afterwards they stand at its head."""
    _make_read_models(database.dsn)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off; SET work_mem = '256MB'")
        _people(connection, database.secret)
        start = datetime.now(UTC) - timedelta(days=DAYS)
        draft = {"events": events, "people": PEOPLE, "start": start, "days": DAYS}
        _run(connection, DRAFT, draft | {"names": [*NAMES], "bounds": _bounds()})
        for first in range(1, events + 1, CHUNK):
            part = {"first": first, "last": min(events, first + CHUNK - 1)}
            part |= {"workspace": database.workspace, "goods": [*KINDS_OF_GOODS]}
            connection.execute(_with_state(LEDGER), part)
            connection.execute(TIMELINE, part)
            say(f"seeding {part['last']:,} of {events:,} events")
        for statement in (*ONCE, *CATALOGUE, SEGMENTS.replace("{stream}", str(stream))):
            connection.execute(statement, {"workspace": database.workspace})
        _stand_at_head(connection, database.workspace, events)
        for statement in FINISH:
            connection.execute(statement)
    say("seeded, vacuumed and analysed")


def _make_read_models(dsn: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    with engine.begin() as tx:
        create_tables(tx, PROJECTIONS)
    engine.dispose()


def _people(connection: psycopg.Connection, secret: bytes) -> None:
    connection.execute(
        "CREATE UNLOGGED TABLE seed_person (n int PRIMARY KEY, stream uuid, kind text, value text)"
    )
    with connection.cursor().copy("COPY seed_person FROM STDIN") as copy:
        for number in range(PEOPLE):
            identifier = person(number)
            copy.write_row((number, UUID(bytes=stream_id(secret, identifier)), *identifier))


def _bounds() -> list[float]:
    """Where a random number from 0 to 1 goes over from one event name to the next."""
    total = sum(WEIGHTS)
    return [sum(WEIGHTS[:place]) / total for place in range(1, len(WEIGHTS))]


def _run(connection: psycopg.Connection, script: str, params: dict[str, object]) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement, params)


def _stand_at_head(connection: psycopg.Connection, workspace: int, events: int) -> None:
    connection.cursor().executemany(
        "INSERT INTO projections.checkpoint (workspace, name, version, position, recorded_at)"
        " SELECT %s, %s, %s, %s, recorded_at FROM ledger.ledger_head WHERE workspace = %s",
        [(workspace, it.name, it.version, events, workspace) for it in PROJECTIONS],
    )


_DIGEST, _MESSAGE = UUID(int=0xD1), "00000000-0000-0000-0000-00000000face"


def _with_state(statement: str) -> str:
    """Put the SQL of a real event's state into a statement: its bytes, with each row's own ids in them."""
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
    own = {
        _DIGEST.bytes: "uuid_send(digest)",
        _MESSAGE.encode(): "convert_to(digest::text, 'UTF8')",
    }
    marks = b"|".join(re.escape(it) for it in own)
    parts = [
        own.get(it) or f"'\\x{it.hex()}'::bytea" for it in re.split(b"(" + marks + b")", state)
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
