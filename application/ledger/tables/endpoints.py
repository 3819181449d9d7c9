"""Where webhooks go: each endpoint's address, secrets and health."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection

from application.ledger.tables.leases import Lane
from domain.delivery.retry_policy import GIVEN_UP_AFTER

PARKED_AT = 5
"""Failures in a row after which nothing is sent for a while, and then one delivery to see."""

_PARKED, _LONGEST_PARKED = timedelta(seconds=10), 6
"""For how long at first; doubled so many times by each failure that follows."""

_COLUMNS = """
workspace, id, url, description, concurrency, secret, created_at, previous_secret, previous_until,
disabled_at, disabled_reason, failing_since, failures, parked_until
"""

_CREATE = """
INSERT INTO ledger.endpoint (workspace, id, url, description, concurrency, secret, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""

_LIST = f"""
SELECT {_COLUMNS} FROM ledger.endpoint WHERE workspace = %s AND id > %s ORDER BY id LIMIT %s
"""

_FIND = f"""
SELECT {_COLUMNS} FROM ledger.endpoint JOIN unnest(%s::integer[], %s::text[]) AS asked (of, named)
ON workspace = asked.of AND id = asked.named
"""

_CHANGE = """
UPDATE ledger.endpoint SET url = %s, description = %s, concurrency = %s
WHERE workspace = %s AND id = %s
"""

_ROTATE = """
UPDATE ledger.endpoint SET previous_secret = secret, previous_until = %s, secret = %s
WHERE workspace = %s AND id = %s
"""

_ENABLE = """
UPDATE ledger.endpoint SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL,
    failures = 0, parked_until = NULL
WHERE workspace = %s AND id = %s
"""

_DISABLE = """
UPDATE ledger.endpoint SET disabled_at = %s, disabled_reason = %s
WHERE workspace = %s AND id = %s AND disabled_at IS NULL
"""

_DELETE = "DELETE FROM ledger.endpoint WHERE workspace = %s AND id = %s"

_WELL = """
UPDATE ledger.endpoint SET failing_since = NULL, failures = 0, parked_until = NULL
WHERE workspace = %s AND id = %s AND failing_since IS NOT NULL
"""

_FAILED = """
UPDATE ledger.endpoint SET failures = failures + %(by)s,
    failing_since = coalesce(failing_since, %(now)s),
    parked_until = CASE WHEN failures + %(by)s >= %(at)s THEN
        %(now)s + %(parked)s * 2 ^ least(failures + %(by)s - %(at)s, %(most)s) END,
    disabled_at = CASE WHEN failing_since <= %(given_up)s THEN coalesce(disabled_at, %(now)s)
        ELSE disabled_at END,
    disabled_reason = CASE WHEN failing_since <= %(given_up)s THEN
        coalesce(disabled_reason, %(why)s) ELSE disabled_reason END
WHERE workspace = %(workspace)s AND id = %(id)s
"""


class Endpoint(NamedTuple):
    """Where webhooks go."""

    workspace: int
    id: str
    url: str
    description: str
    concurrency: int
    """How many deliveries may be under way at once."""

    secret: bytes
    """Sealed, as the one before it, which signs as well until a time."""

    created_at: datetime
    previous_secret: bytes | None = None
    previous_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    """Since when nothing was taken."""

    failures: int = 0
    """In a row."""

    parked_until: datetime | None = None
    """Until when it is left alone, after too many of those."""

    def secrets(self, now: datetime) -> Sequence[bytes]:
        """Return what signs: the newest first."""
        rotated = self.previous_until is not None and now < self.previous_until
        previous = self.previous_secret if rotated else None
        return [self.secret] if previous is None else [self.secret, previous]


def create(connection: Connection[Any], made: Endpoint) -> bool:
    """Add an endpoint; False if there is one of that id."""
    return bool(connection.execute(_CREATE, made[:7]).rowcount)


def endpoints(
    connection: Connection[Any], workspace: int, after: str, limit: int
) -> Sequence[Endpoint]:
    """Return a workspace's endpoints, by id."""
    rows = connection.execute(_LIST, (workspace, after, limit)).fetchall()
    return [Endpoint(*row) for row in rows]


def find(connection: Connection[Any], lanes: Iterable[Lane]) -> dict[Lane, Endpoint]:
    """Return the endpoints of these lanes, of those that there are."""
    asked = list(lanes)
    params = [workspace for workspace, _ in asked], [lane for _, lane in asked]
    found = [Endpoint(*row) for row in connection.execute(_FIND, params).fetchall()]
    return {(it.workspace, it.id): it for it in found}


def change(connection: Connection[Any], it: Endpoint) -> None:
    """Write what somebody wants an endpoint to be."""
    row = (it.url, it.description, it.concurrency, it.workspace, it.id)
    connection.execute(_CHANGE, row)


def rotate(connection: Connection[Any], lane: Lane, secret: bytes, until: datetime) -> None:
    """Sign with a new secret, and until a time with the one before as well."""
    connection.execute(_ROTATE, (until, secret, *lane))


def enable(connection: Connection[Any], lane: Lane) -> None:
    """Send to it again, as if it had never failed."""
    connection.execute(_ENABLE, lane)


def disable(connection: Connection[Any], lane: Lane, why: str, now: datetime) -> None:
    """Send nothing to it any more; what is to be sent waits."""
    connection.execute(_DISABLE, (now, why, *lane))


def delete(connection: Connection[Any], lane: Lane) -> bool:
    """Remove an endpoint; False if there is none."""
    return bool(connection.execute(_DELETE, lane).rowcount)


def well(connection: Connection[Any], lane: Lane) -> None:
    """Note that it took something."""
    connection.execute(_WELL, lane)


def failed(connection: Connection[Any], lane: Lane, by: int, now: datetime) -> None:
    """Note failures: too many in a row park it, days of nothing else disable it."""
    workspace, id_ = lane
    facts = {
        "workspace": workspace,
        "id": id_,
        "by": by,
        "now": now,
        "at": PARKED_AT,
        "parked": _PARKED,
        "most": _LONGEST_PARKED,
        "given_up": now - GIVEN_UP_AFTER,
        "why": f"nothing was taken for {GIVEN_UP_AFTER.days} days",
    }
    connection.execute(_FAILED, facts)
