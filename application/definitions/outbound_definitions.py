"""Definitions that a table keeps, beside the row that the delivery worker reads."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Generic
from uuid import UUID

from psycopg import Connection

from application.definitions.service import DefinitionService, DefinitionTransaction
from application.definitions.store import D, DefinitionStore, StaleStream
from application.ledger.store import LedgerDatastore
from application.ledger.tables import definitions, outbound_revisions
from application.ledger.tables.outbound_revisions import NewRevision, RevisionRow
from domain.conditions import ReferencedValue
from domain.definitions.definition import Definition, DefinitionVersion
from domain.events.events import DefinitionEvent
from domain.events.recorded import RecordedEvent

SaveRow = Callable[[int, DefinitionEvent], None]
"""Writes the row of a definition after an event, of the version and the event."""


class OutboundLog(Generic[D]):
    """The events of one kind in their table, in the transaction of a command."""

    def __init__(
        self, kind: type[D], connection: Connection[Any], workspace: int, save_row: SaveRow
    ) -> None:
        self._kind, self._connection = kind, connection
        self._workspace, self._save_row = workspace, save_row

    def stream(self, id_: str) -> UUID:
        """Returns a digest of the definition's key, in place of a stream of the ledger."""
        return _stream_of(self._kind, self._workspace, id_)

    def events(self) -> Iterable[RecordedEvent]:
        """Returns the events of all definitions of the kind."""
        for row in outbound_revisions.load_revisions(
            self._connection, self._workspace, self._kind.KIND
        ):
            yield _recorded_event(self._kind, self._workspace, row)

    def append(self, _stream: UUID, version: int, event: DefinitionEvent) -> int:
        """Appends an event and writes the definition's row; returns the version.

        The row is found by the id in the event: the stream is only a digest of it.
        """
        content = self._kind.content_of(event)
        revision = NewRevision(
            self._workspace,
            self._kind.KIND,
            self._kind.id_in(event),
            version,
            event.id,
            content.document if isinstance(content, DefinitionVersion) else None,
            event.occurred_at,
            event.actor,
            event.reason,
        )
        if not outbound_revisions.insert_revision(self._connection, revision):
            raise StaleStream
        self._save_row(version, event)
        return version


class OutboundDefinitionService(DefinitionService[D]):
    """Records commands about endpoints or subscriptions, one at a time in a workspace."""

    reuses_ids, creates_by_define = True, False

    def __init__(
        self, store: LedgerDatastore, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(now)
        self._store, self._lock = store, Lock()

    @abstractmethod
    def _save_row(
        self, connection: Connection[Any], workspace: int, version: int, event: DefinitionEvent
    ) -> None:
        """Writes the row that the delivery worker reads."""

    def candidate_ids(self, _definition: DefinitionVersion) -> Iterator[str]:
        """Yields random ids: these definitions have no name."""
        while True:
            yield secrets.token_hex(8)

    def history(
        self, workspace: int, id_: str, *, after: int = 0, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the events of a definition after a version, in order."""
        with self._store.connection() as connection:
            rows = outbound_revisions.list_revisions(
                connection, workspace, self.kind.KIND, id_, after=after, limit=limit
            )
        return [_recorded_event(self.kind, workspace, row) for row in rows]

    @contextmanager
    def _transaction(self, workspace: int) -> Iterator[DefinitionTransaction[D]]:
        # Commands that wait here for their turn take no connection from reads and deliveries.
        with self._lock, self._store.connection() as connection, connection.transaction():
            definitions.lock_definitions(connection, workspace)

            def save_row(version: int, event: DefinitionEvent) -> None:
                self._save_row(connection, workspace, version, event)

            log = OutboundLog(self.kind, connection, workspace, save_row)
            store = DefinitionStore(self.kind, log)
            yield DefinitionTransaction(connection, store, _NoReferences())


class _NoReferences:
    """Endpoints and subscriptions refer to nothing that the ledger defines."""

    computed_attributes: Mapping[str, ReferencedValue] = {}

    def segment(self, id_: str) -> Definition:
        raise LookupError(id_)


def _stream_of(kind: type[Definition], workspace: int, id_: str) -> UUID:
    return definitions.command_event_id("outbound", kind.KIND, f"{workspace}", id_)


def _recorded_event(kind: type[Definition], workspace: int, row: RevisionRow) -> RecordedEvent:
    """Returns the event of a stored change; its position is the version."""
    fields: dict[str, Any] = {
        "id": row.event_id,
        "occurred_at": row.decided_at,
        "actor": row.actor,
        "reason": row.reason,
        kind.KEY: row.id,
    }
    event: DefinitionEvent
    if row.document is None:
        event = kind.ARCHIVED(**fields)
    else:
        fields |= {"name": "", kind.DOCUMENT: row.document}
        event = kind.DEFINED(**fields)
    stream = _stream_of(kind, workspace, row.id)
    return RecordedEvent(row.version, stream, row.version, row.recorded_at, event)
