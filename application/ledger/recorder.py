"""Recorder of the `eventsourcing` library over one workspace's ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder

from application.ledger.append.append import append_versioned
from application.ledger.append.evidence import SALT_BYTES, commitment_of, new_salts
from application.ledger.append.prepared import EventRow
from application.ledger.store import LedgerDatastore

_EVENTS = """
SELECT originator_id, originator_version, topic, state FROM ledger.event
WHERE originator_id = %s AND state IS NOT NULL
"""

_NOTIFICATIONS = """
SELECT position, originator_id, originator_version, topic, state FROM ledger.event
WHERE workspace = %s AND position >= %s AND state IS NOT NULL
"""

_HEAD = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"


class LedgerRecorder(PostgresApplicationRecorder):
    """Fulfils the library's contract with our tables; ``notification_id`` is our ``position``.

    Differs from the library's own recorder where that would lose or duplicate events: it locks the
    ledger head, not the table; it does not NOTIFY inside the transaction; it never retries an insert.
    """

    def __init__(self, datastore: LedgerDatastore, workspace: int) -> None:
        super().__init__(datastore, events_table_name="event")
        self.workspace = workspace

    def create_table(self) -> None:
        """Does nothing: Alembic owns the tables."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Appends events with the versions that they carry; returns their positions.

        Raises the library's IntegrityError if a stream already has one of the versions.
        """
        if not stored_events:
            return []
        salts = new_salts(len(stored_events))
        rows = []
        for index, event in enumerate(stored_events):
            salt = salts[SALT_BYTES * index : SALT_BYTES * (index + 1)]
            stream = cast("UUID", event.originator_id).bytes
            commitment = commitment_of(salt, event.state)
            row = EventRow(stream, event.topic.encode(), event.state, salt, commitment)
            rows.append((row, event.originator_version))
        with self.datastore.get_connection() as connection:
            return list(append_versioned(connection, self.workspace, rows))

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Returns a stream's events by version, without erased ones."""
        sql, params = _EVENTS, [cast("Any", originator_id)]
        if gt is not None:
            sql += " AND originator_version > %s"
            params.append(gt)
        if lte is not None:
            sql += " AND originator_version <= %s"
            params.append(lte)
        sql += f" ORDER BY originator_version {'DESC' if desc else 'ASC'}"
        if limit is not None:
            sql += " LIMIT %s"
            params.append(limit)
        with self.datastore.get_connection() as connection:
            rows = cast("Any", connection.execute(sql, params)).fetchall()
        return [StoredEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Returns events by position, without erased ones."""
        first = 1 if start is None else start + (not inclusive_of_start)
        sql, params = _NOTIFICATIONS, [cast("Any", self.workspace), first]
        if stop is not None:
            sql += " AND position <= %s"
            params.append(stop)
        if topics:
            sql += " AND topic = ANY (%s)"
            params.append(list(topics))
        sql += " ORDER BY position LIMIT %s"
        params.append(limit)
        with self.datastore.get_connection() as connection:
            rows = cast("Any", connection.execute(sql, params)).fetchall()
        return [
            Notification(stream, version, topic, state, position)
            for position, stream, version, topic, state in rows
        ]

    def max_notification_id(self) -> int | None:
        """Returns the last position; None if the ledger is empty."""
        with self.datastore.get_connection() as connection:
            row = cast("Any", connection.execute(_HEAD, (self.workspace,))).fetchone()
        return (row[0] or None) if row else None
