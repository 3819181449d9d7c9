"""Where webhooks go: each endpoint's address, secrets and health."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection

from application.ledger.tables.leases import QueueKey
from domain.delivery.retry_policy import DISABLE_AFTER

PARK_AFTER_FAILURES = 5
"""Failures in a row after which nothing is sent for a while, and then one delivery to see."""

_PARK_FOR, _MAX_PARK_DOUBLINGS = timedelta(seconds=10), 6
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


class EndpointRow(NamedTuple):
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

    @property
    def connection_key(self) -> tuple[str, int]:
        """Identifies the connections to the endpoint: a change of it replaces them."""
        return self.url, self.concurrency

    def secrets(self, now: datetime) -> Sequence[bytes]:
        """Return what signs: the newest first."""
        rotated = self.previous_until is not None and now < self.previous_until
        previous = self.previous_secret if rotated else None
        return [self.secret] if previous is None else [self.secret, previous]


def insert(connection: Connection[Any], endpoint: EndpointRow) -> bool:
    """Add an endpoint; False if there is one of that id."""
    return bool(connection.execute(_CREATE, endpoint[:7]).rowcount)


def list_endpoints(
    connection: Connection[Any], workspace: int, after: str, limit: int
) -> Sequence[EndpointRow]:
    """Return a workspace's endpoints, by id."""
    rows = connection.execute(_LIST, (workspace, after, limit)).fetchall()
    return [EndpointRow(*row) for row in rows]


def find_many(connection: Connection[Any], keys: Iterable[QueueKey]) -> dict[QueueKey, EndpointRow]:
    """Return the endpoints of these lanes, of those that there are."""
    asked = list(keys)
    params = [workspace for workspace, _ in asked], [lane for _, lane in asked]
    found = [EndpointRow(*row) for row in connection.execute(_FIND, params).fetchall()]
    return {(it.workspace, it.id): it for it in found}


def update(connection: Connection[Any], endpoint: EndpointRow) -> None:
    """Write what somebody wants an endpoint to be."""
    row = (
        endpoint.url,
        endpoint.description,
        endpoint.concurrency,
        endpoint.workspace,
        endpoint.id,
    )
    connection.execute(_CHANGE, row)


def rotate_secret(
    connection: Connection[Any], key: QueueKey, secret: bytes, until: datetime
) -> None:
    """Sign with a new secret, and until a time with the one before as well."""
    connection.execute(_ROTATE, (until, secret, *key))


def enable(connection: Connection[Any], key: QueueKey) -> None:
    """Send to it again, as if it had never failed."""
    connection.execute(_ENABLE, key)


def disable(connection: Connection[Any], key: QueueKey, why: str, now: datetime) -> None:
    """Send nothing to it any more; what is to be sent waits."""
    connection.execute(_DISABLE, (now, why, *key))


def delete(connection: Connection[Any], key: QueueKey) -> bool:
    """Remove an endpoint; False if there is none."""
    return bool(connection.execute(_DELETE, key).rowcount)


def record_success(connection: Connection[Any], key: QueueKey) -> None:
    """Note that it took something."""
    connection.execute(_WELL, key)


def record_failures(connection: Connection[Any], key: QueueKey, count: int, now: datetime) -> None:
    """Note failures: too many in a row park it, days of nothing else disable it."""
    workspace, id_ = key
    facts = {
        "workspace": workspace,
        "id": id_,
        "by": count,
        "now": now,
        "at": PARK_AFTER_FAILURES,
        "parked": _PARK_FOR,
        "most": _MAX_PARK_DOUBLINGS,
        "given_up": now - DISABLE_AFTER,
        "why": f"nothing was taken for {DISABLE_AFTER.days} days",
    }
    connection.execute(_FAILED, facts)
