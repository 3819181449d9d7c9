"""Webhook endpoints: address, signing secrets and health."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg import Connection

from application.ledger.tables.leases import QueueKey
from domain.delivery.outbound import EndpointDefinition
from domain.delivery.retry_policy import DISABLE_AFTER

PARK_AFTER_FAILURES = 5
"""Consecutive failures after which an endpoint is parked: nothing is sent, then one probe."""

_PARK_FOR, _MAX_PARK_DOUBLINGS = timedelta(seconds=10), 6
"""First parking time, and how often it may double: once for each further failure."""

_COLUMNS = """
workspace, id, url, description, concurrency, secret, created_at, previous_secret, previous_until,
disabled_at, disabled_reason, failing_since, failures, parked_until, version
"""

_CREATE = """
INSERT INTO ledger.endpoint (
    workspace, id, url, description, concurrency, version, secret, created_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""

_LIST = f"""
SELECT {_COLUMNS} FROM ledger.endpoint WHERE workspace = %s AND id > %s ORDER BY id LIMIT %s
"""

_FIND = f"""
SELECT {_COLUMNS} FROM ledger.endpoint JOIN unnest(%s::integer[], %s::text[]) AS wanted (in_workspace, named)
ON workspace = wanted.in_workspace AND id = wanted.named
"""

_UPDATE = """
UPDATE ledger.endpoint SET url = %s, description = %s, concurrency = %s, version = %s
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

_RECORD_SUCCESS = """
UPDATE ledger.endpoint SET failing_since = NULL, failures = 0, parked_until = NULL
WHERE workspace = %s AND id = %s AND failing_since IS NOT NULL
"""

_RECORD_FAILURES = """
UPDATE ledger.endpoint SET failures = failures + %(count)s,
    failing_since = coalesce(failing_since, %(now)s),
    parked_until = CASE WHEN failures + %(count)s >= %(park_after)s THEN
        %(now)s + %(park_for)s * 2 ^ least(failures + %(count)s - %(park_after)s, %(max_doublings)s)
    END,
    disabled_at = CASE WHEN failing_since <= %(disable_before)s THEN coalesce(disabled_at, %(now)s)
        ELSE disabled_at END,
    disabled_reason = CASE WHEN failing_since <= %(disable_before)s THEN
        coalesce(disabled_reason, %(reason)s) ELSE disabled_reason END
WHERE workspace = %(workspace)s AND id = %(id)s
"""


class EndpointRow(NamedTuple):
    """A stored endpoint."""

    workspace: int
    id: str
    url: str
    description: str
    concurrency: int
    """Maximum number of concurrent deliveries."""

    secret: bytes
    """Encrypted, like ``previous_secret``, which also signs until ``previous_until``."""

    created_at: datetime
    previous_secret: bytes | None = None
    previous_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: str | None = None
    failing_since: datetime | None = None
    """Time of the first failure since the last success."""

    failures: int = 0
    """Number of consecutive failures."""

    parked_until: datetime | None = None
    """Time until which nothing is sent, after too many consecutive failures."""

    version: int = 1
    """Version of the definition."""

    @property
    def connection_key(self) -> tuple[str, int]:
        """Identifies the connections to the endpoint: a change of it replaces them."""
        return self.url, self.concurrency

    def secrets(self, now: datetime) -> Sequence[bytes]:
        """Returns the secrets that sign at an instant, newest first."""
        rotated = self.previous_until is not None and now < self.previous_until
        previous = self.previous_secret if rotated else None
        return [self.secret] if previous is None else [self.secret, previous]


def insert(
    connection: Connection[Any],
    key: QueueKey,
    definition: EndpointDefinition,
    version: int,
    *,
    secret: bytes,
    now: datetime,
) -> None:
    """Adds an endpoint."""
    columns = (definition.url, definition.description, definition.concurrency, version)
    connection.execute(_CREATE, (*key, *columns, secret, now))


def list_endpoints(
    connection: Connection[Any], workspace: int, after: str, limit: int
) -> Sequence[EndpointRow]:
    """Returns a page of a workspace's endpoints, by id, after ``after``."""
    rows = connection.execute(_LIST, (workspace, after, limit)).fetchall()
    return [EndpointRow(*row) for row in rows]


def find_many(connection: Connection[Any], keys: Iterable[QueueKey]) -> dict[QueueKey, EndpointRow]:
    """Returns the endpoints of queues, without queues that have none."""
    wanted = list(keys)
    params = [workspace for workspace, _ in wanted], [queue for _, queue in wanted]
    endpoints = [EndpointRow(*row) for row in connection.execute(_FIND, params).fetchall()]
    return {(endpoint.workspace, endpoint.id): endpoint for endpoint in endpoints}


def update(
    connection: Connection[Any], key: QueueKey, definition: EndpointDefinition, version: int
) -> bool:
    """Stores an endpoint's definition; False if it does not exist."""
    columns = (definition.url, definition.description, definition.concurrency, version)
    return bool(connection.execute(_UPDATE, (*columns, *key)).rowcount)


def rotate_secret(
    connection: Connection[Any], key: QueueKey, secret: bytes, until: datetime
) -> None:
    """Replaces the secret; the previous one also signs until ``until``."""
    connection.execute(_ROTATE, (until, secret, *key))


def enable(connection: Connection[Any], key: QueueKey) -> None:
    """Enables an endpoint and resets its failures."""
    connection.execute(_ENABLE, key)


def disable(connection: Connection[Any], key: QueueKey, reason: str, now: datetime) -> None:
    """Disables an endpoint; its deliveries wait."""
    connection.execute(_DISABLE, (now, reason, *key))


def delete(connection: Connection[Any], key: QueueKey) -> None:
    """Removes an endpoint."""
    connection.execute(_DELETE, key)


def record_success(connection: Connection[Any], key: QueueKey) -> None:
    """Records a successful delivery, which resets the failures."""
    connection.execute(_RECORD_SUCCESS, key)


def record_failures(connection: Connection[Any], key: QueueKey, count: int, now: datetime) -> None:
    """Records failures; parks the endpoint after too many, disables it after `DISABLE_AFTER`."""
    workspace, id_ = key
    params = {
        "workspace": workspace,
        "id": id_,
        "count": count,
        "now": now,
        "park_after": PARK_AFTER_FAILURES,
        "park_for": _PARK_FOR,
        "max_doublings": _MAX_PARK_DOUBLINGS,
        "disable_before": now - DISABLE_AFTER,
        "reason": f"no delivery succeeded for {DISABLE_AFTER.days} days",
    }
    connection.execute(_RECORD_FAILURES, params)
