"""Outbound streams: what each sends where, and the position up to which it has sent it."""

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
SELECT workspace, %s, 1, %s, coalesce(%s, last_position), %s
FROM ledger.ledger_head WHERE workspace = %s
ON CONFLICT DO NOTHING
"""

_CHANGE = """
UPDATE ledger.outbound_stream SET version = version + 1, definition = %s
WHERE workspace = %s AND id = %s AND definition <> %s
"""

_DELETE = "DELETE FROM ledger.outbound_stream WHERE workspace = %s AND id = %s"

_LIST = f"""
SELECT {_COLUMNS} FROM ledger.outbound_stream WHERE workspace = %s AND id > %s ORDER BY id LIMIT %s
"""

_FIND = f"SELECT {_COLUMNS} FROM ledger.outbound_stream WHERE workspace = %s AND id = %s"

_BEHIND = """
SELECT workspace, id FROM ledger.outbound_stream JOIN ledger.ledger_head USING (workspace)
WHERE position < last_position ORDER BY workspace, id
"""

_HOLD = f"""
SELECT {_COLUMNS} FROM ledger.outbound_stream WHERE workspace = %s AND id = %s
FOR UPDATE SKIP LOCKED
"""

_READ = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event WHERE workspace = %s AND position > %s ORDER BY position LIMIT %s
"""

_MOVE = "UPDATE ledger.outbound_stream SET position = %s WHERE workspace = %s AND id = %s"

_WAIT = "SELECT FROM ledger.outbound_stream WHERE workspace = %s ORDER BY id FOR UPDATE"


class SubscriptionRow(NamedTuple):
    """One outbound stream."""

    workspace: int
    id: str
    version: int
    definition: bytes
    """As JSON, see `application.deliveries.subscriptions`."""

    position: int
    """Up to here everything that it is to send waits to be sent, or was."""

    created_at: datetime


def insert(  # noqa: PLR0917 - the columns
    connection: Connection[Any],
    workspace: int,
    id_: str,
    definition: bytes,
    after: int | None,
    now: datetime,
) -> bool:
    """Add a stream of what follows a position, the last one unless said; False if there is one of that id."""
    return bool(connection.execute(_CREATE, (id_, definition, after, now, workspace)).rowcount)


def update(connection: Connection[Any], workspace: int, id_: str, definition: bytes) -> None:
    """Let it send other things from where it is."""
    connection.execute(_CHANGE, (definition, workspace, id_, definition))


def delete(connection: Connection[Any], workspace: int, id_: str) -> bool:
    """Remove a stream; False if there is none."""
    return bool(connection.execute(_DELETE, (workspace, id_)).rowcount)


def list_subscriptions(
    connection: Connection[Any], workspace: int, after: str, limit: int
) -> Sequence[SubscriptionRow]:
    """Return a workspace's streams, by id."""
    return [
        SubscriptionRow(*row)
        for row in connection.execute(_LIST, (workspace, after, limit)).fetchall()
    ]


def find(connection: Connection[Any], workspace: int, id_: str) -> SubscriptionRow | None:
    """Return one stream."""
    row = connection.execute(_FIND, (workspace, id_)).fetchone()
    return None if row is None else SubscriptionRow(*row)


def lagging(connection: Connection[Any]) -> Sequence[tuple[int, str]]:
    """Return the streams that have not seen the last events of their workspaces."""
    return connection.execute(_BEHIND).fetchall()


def lock_subscription(
    connection: Connection[Any], workspace: int, id_: str
) -> SubscriptionRow | None:
    """Return a stream that nobody else moves until the end of the transaction; None if somebody does."""
    row = connection.execute(_HOLD, (workspace, id_)).fetchone()
    return None if row is None else SubscriptionRow(*row)


def next_events(
    connection: Connection[Any], subscription: SubscriptionRow, limit: int
) -> Sequence[RecordedEvent]:
    """Return the events that a stream has yet to see, in order.

    Read while the stream is held, as an erasure waits for it: nobody is erased between here and the end
    of the transaction whose data would go out after it.
    """
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(
            _READ, (subscription.workspace, subscription.position, limit)
        ).fetchall()
    return [history.recorded_event(row) for row in rows]


def advance(connection: Connection[Any], subscription: SubscriptionRow, position: int) -> None:
    """Write up to where a stream has seen everything."""
    connection.execute(_MOVE, (position, subscription.workspace, subscription.id))


def lock_all(connection: Connection[Any], workspace: int) -> None:
    """Let no stream of the workspace move until the end of the transaction."""
    connection.execute(_WAIT, (workspace,))
