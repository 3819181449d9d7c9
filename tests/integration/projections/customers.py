"""A few customers whose messages give every read model something to keep."""

from __future__ import annotations

from sqlalchemy import text

from projections import PROJECTIONS
from tests.builders import anonymous, tracked, user
from tests.integration.projections.history import with_payload

NAMES = [it.name for it in PROJECTIONS]


def customers(n: int, first: int = 0):
    """Messages of a few profiles that give every read model rows."""
    for at in range(first, first + n):
        who = (user(f"u-{at % 7}"), anonymous(f"a-{at % 11}"))
        message = tracked("Viewed", *who, kind="identify" if at % 5 == 0 else "track")
        document = {
            "traits": {"plan": f"p-{at % 3}", "email": f"u{at % 7}@example.com"},
            "properties": {"total": at},
            "context": {"sessionId": f"s-{at % 13}"},
        }
        yield with_payload(message, document)


def aside(given) -> list[str]:
    with given.engine.connect() as tx:
        found = tx.execute(text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read_%'"))
        return sorted(set(found.scalars()) - {it.schema for it in PROJECTIONS})
