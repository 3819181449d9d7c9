"""Outbound subscriptions: their definitions, and the position that each has reached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from application.ledger.read import history
from domain.events.recorded import RecordedEvent

_COLUMNS = "workspace, id, version, definition, position, created_at"

_CREATE = """
INSERT INTO ledger.outbound_stream (workspace, id, version, definition, position, created_at)
SELECT workspace, %s, %s, %s, last_position, %s FROM ledger.ledger_head WHERE workspace = %s
"""

_UPDATE = """
UPDATE ledger.outbound_stream SET version = %s, definition = %s WHERE workspace = %s AND id = %s
"""

_DELETE = "DELETE FROM ledger.outbound_stream WHERE workspace = %s AND id = %s"

_LIST = f"""
SELECT {_COLUMNS} FROM ledger.outbound_stream WHERE workspace = %s AND id > %s ORDER BY id LIMIT %s
"""

_FIND = f"SELECT {_COLUMNS} FROM ledger.outbound_stream WHERE workspace = %s AND id = %s"

_LAGGING = """
SELECT workspace, id FROM ledger.outbound_stream JOIN ledger.ledger_head USING (workspace)
WHERE position < last_position ORDER BY workspace, id
"""

_LOCK = f"""
SELECT {_COLUMNS} FROM ledger.outbound_stream WHERE workspace = %s AND id = %s
FOR UPDATE SKIP LOCKED
"""

_EVENTS_AFTER = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event WHERE workspace = %s AND position > %s ORDER BY position LIMIT %s
"""

_ADVANCE = "UPDATE ledger.outbound_stream SET position = %s WHERE workspace = %s AND id = %s"

_LOCK_ALL = "SELECT FROM ledger.outbound_stream WHERE workspace = %s ORDER BY id FOR UPDATE"


class SubscriptionRow(NamedTuple):
    """A stored subscription."""

    workspace: int
    id: str
    version: int
    definition: bytes
    """JSON, see `application.deliveries.subscriptions`."""

    position: int
    """Position up to which deliveries were queued for every event that it selects."""

    created_at: datetime


def save(
    connection: Connection[Any],
    workspace: int,
    id_: str,
    version: int,
    definition: bytes,
    *,
    now: datetime,
) -> None:
    """Stores a definition.  A new subscription begins after the last position."""
    if not connection.execute(_UPDATE, (version, definition, workspace, id_)).rowcount:
        connection.execute(_CREATE, (id_, version, definition, now, workspace))


def delete(connection: Connection[Any], workspace: int, id_: str) -> None:
    """Removes a subscription."""
    connection.execute(_DELETE, (workspace, id_))


def list_subscriptions(
    connection: Connection[Any], workspace: int, after: str, limit: int
) -> Sequence[SubscriptionRow]:
    """Returns a page of a workspace's subscriptions, by id, after ``after``."""
    return [
        SubscriptionRow(*row)
        for row in connection.execute(_LIST, (workspace, after, limit)).fetchall()
    ]


def find(connection: Connection[Any], workspace: int, id_: str) -> SubscriptionRow | None:
    """Returns a subscription; None if it does not exist."""
    row = connection.execute(_FIND, (workspace, id_)).fetchone()
    return None if row is None else SubscriptionRow(*row)


def lagging(connection: Connection[Any]) -> Sequence[tuple[int, str]]:
    """Returns workspace and id of each subscription that is behind its ledger's head."""
    return connection.execute(_LAGGING).fetchall()


def lock_subscription(
    connection: Connection[Any], workspace: int, id_: str
) -> SubscriptionRow | None:
    """Locks a subscription until the end of the transaction; None if locked or unknown."""
    row = connection.execute(_LOCK, (workspace, id_)).fetchone()
    return None if row is None else SubscriptionRow(*row)


def next_events(
    connection: Connection[Any], subscription: SubscriptionRow, limit: int
) -> Sequence[RecordedEvent]:
    """Returns the next events after a subscription's position, in order.

    Call it with the subscription locked.  An erasure waits for that lock, so no profile is erased
    between this read and the end of the transaction that queues its data.
    """
    params = (subscription.workspace, subscription.position, limit)
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(_EVENTS_AFTER, params).fetchall()
    return [history.recorded_event(row) for row in rows]


def advance(connection: Connection[Any], workspace: int, id_: str, position: int) -> None:
    """Stores the position that a subscription has reached."""
    connection.execute(_ADVANCE, (position, workspace, id_))


def lock_all(connection: Connection[Any], workspace: int) -> None:
    """Locks all subscriptions of a workspace until the end of the transaction."""
    connection.execute(_LOCK_ALL, (workspace,))
