"""Facade of the write side: records messages and reads events, for all workspaces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from threading import Event as Stop
from threading import Lock
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.append.append import AppendResult, append
from application.ledger.append.group_commit import FlushLimits, GroupCommit
from application.ledger.append.prepared import (
    MessagePreparer,
    PreparedMessage,
    Receipt,
    StaleErasureEpoch,
    mark_links_durable,
)
from application.ledger.erasure.erasure import ProfileTrace, trace_profile
from application.ledger.erasure.suppression import (
    Filtered,
    Suppression,
    filter_suppressed,
    has_suppressions,
    list_suppressions,
)
from application.ledger.read import as_of, history, positions, profiles, snapshots
from application.ledger.read.profiles import LATEST
from application.ledger.read.snapshotter import Snapshotter
from application.ledger.store import LedgerDatastore
from application.ledger.tables import definitions, rejected
from application.ledger.tables.rejected import RejectedRow, Rejection
from application.ledger.tables.workspaces import Workspaces
from domain.core.identifiers import (
    Identifier,
    attributes_stream,
    funnel_stream,
    rule_stream,
    segment_stream,
    trigger_digest,
)
from domain.events.events import Event
from domain.events.message import Message
from domain.events.recorded import RecordedEvent
from domain.identity.facts import IdentityFact
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles.as_of import LedgerPoint, ProfileAsOf
from domain.profiles.state import ProfileState

_EVENTS_AFTER = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event WHERE workspace = %s AND position > %s ORDER BY position LIMIT %s
"""

_HEAD = "SELECT last_position FROM ledger.ledger_head WHERE workspace = %s"


class Ledger:
    """Appends and reads events, for all workspaces of one database.

    ``query_store`` provides the connections for reads of profiles and for commands, so that they
    never make a flush wait; the default is ``store``.
    """

    def __init__(
        self,
        store: LedgerDatastore,
        workspaces: Workspaces,
        *,
        query_store: LedgerDatastore | None = None,
        limits: FlushLimits = FlushLimits(),  # noqa: B008 - immutable
        writers: int = 2,
        on_flush: Callable[[int, float], None] = lambda _messages, _seconds: None,
    ) -> None:
        self._store, self._query_store, self._workspaces = store, query_store or store, workspaces
        self._preparers: dict[int, MessagePreparer] = {}
        self._preparer_lock, self._definition_lock = Lock(), Lock()
        self.commits = GroupCommit(self._append, limits=limits, writers=writers, on_flush=on_flush)

    def record(
        self,
        workspace: int,
        messages: Sequence[Message],
        rejections: Sequence[Rejection] = (),
    ) -> Future[Receipt]:
        """Records the messages of one request; the future is done once they are durable.

        A message whose id was recorded before is a duplicate and adds nothing.  Raises Overloaded if
        the queue is full.  If the future raises LedgerUnavailable, it is unknown whether the messages
        were recorded; sending them again is safe.
        """
        entries = self.preparer(workspace).prepare(messages)
        return self.commits.submit(workspace, entries, rejections)

    def read(self, workspace: int, after: int, limit: int) -> Sequence[RecordedEvent]:
        """Returns at most ``limit`` events after a position, in order."""
        with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_EVENTS_AFTER, (workspace, after, limit)).fetchall()
        return [history.recorded_event(row) for row in rows]

    def event_at(self, workspace: int, position: int) -> RecordedEvent | None:
        """Returns the event at a position; None beyond the last."""
        events = self.read(workspace, position - 1, 1)
        return events[0] if events and events[0].position == position else None

    def heads(self) -> Mapping[int, int]:
        """Returns the last position of each workspace."""
        return self._workspaces.heads()

    def head(self, workspace: int) -> int:
        """Returns the last position of a workspace; 0 if it has no events."""
        with self._store.connection() as connection:
            row = connection.execute(_HEAD, [workspace]).fetchone()
        return row[0] if row else 0

    def clock(self, workspace: int) -> LedgerPoint:
        """Returns the last position and the current time; later events are recorded at or after it.

        Advances the ledger's own clock, so it waits for appends in progress.
        """
        with self._store.connection() as connection:
            return positions.advance_clock(connection, workspace)

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        """Returns the id of an identifier's stream, which need not have events."""
        return UUID(bytes=self.preparer(workspace).stream_of(identifier))

    def segment_stream(self, workspace: int, segment: str) -> UUID:
        """Returns the id of the stream of a segment's definition events."""
        return UUID(bytes=segment_stream(self.preparer(workspace).secret, segment))

    def funnel_stream(self, workspace: int, funnel: str) -> UUID:
        """Returns the id of the stream of a saved funnel's definition events."""
        return UUID(bytes=funnel_stream(self.preparer(workspace).secret, funnel))

    def attributes_stream(self, workspace: int) -> UUID:
        """Returns the id of the stream of the definition events of all computed attributes."""
        return UUID(bytes=attributes_stream(self.preparer(workspace).secret))

    def rule_stream(self, workspace: int, rule: str) -> UUID:
        """Returns the id of the stream of an automation rule's definition events."""
        return UUID(bytes=rule_stream(self.preparer(workspace).secret, rule))

    def trigger_digest(self, workspace: int, rule: str, version: int, cause: str) -> bytes:
        """Returns the 16 bytes that record for ever that a rule fired for a cause."""
        return trigger_digest(self.preparer(workspace).secret, rule, version, cause)

    @contextmanager
    def firing_transaction(self) -> Iterator[Connection[Any]]:
        """Yields a connection in a transaction, in which triggers fire."""
        with self._query_store.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def definition_transaction(self, workspace: int) -> Iterator[Connection[Any]]:
        """Yields a connection in a transaction that excludes other definition changes."""
        # Commands that wait here for their turn take no connection from reads of profiles.
        with (
            self._definition_lock,
            self._query_store.connection() as connection,
            connection.transaction(),
        ):
            definitions.lock_definitions(connection, workspace)
            yield connection

    def profile(self, workspace: int, stream: UUID, until: int = LATEST) -> ResolvedProfile:
        """Returns the profile of a stream, as known at position ``until`` (default: now)."""
        stream_of = partial(self.stream_of, workspace)
        with self._query_store.connection() as connection:
            return profiles.load_profile(connection, workspace, stream, stream_of, until)

    def trace_profile(
        self, connection: Connection[Any], workspace: int, stream: UUID
    ) -> ProfileTrace:
        """Returns, in the caller's transaction, everything that identifies the profile of a stream."""
        secret = self.preparer(workspace).secret
        return trace_profile(
            connection, workspace, stream, secret, partial(self.stream_of, workspace)
        )

    def identity_facts_for(self, workspace: int, stream: UUID) -> Sequence[IdentityFact]:
        """Returns the identity facts that can concern the profile of a stream."""
        with self._query_store.connection() as connection:
            return profiles.identity_facts_for(connection, workspace, stream)

    def identity_events_for(self, workspace: int, streams: Iterable[UUID]) -> Mapping[int, Event]:
        """Returns, by position, the identity events that can concern the profiles of streams."""
        with self._query_store.connection() as connection:
            return profiles.identity_events_for(connection, workspace, streams)

    def stream_states(self, workspace: int, streams: Sequence[UUID]) -> Mapping[UUID, ProfileState]:
        """Returns the current state of each stream, without streams that have no events."""
        with self._query_store.connection() as connection:
            versions = positions.versions_at(connection, workspace, streams, LATEST)
            return snapshots.load_states(connection, workspace, versions)

    def point_at(self, workspace: int, when: int | datetime = LATEST) -> LedgerPoint | None:
        """Returns the last point at or before a position or instant; None before the first event."""
        with self._query_store.connection() as connection:
            return positions.point_at(connection, workspace, when)

    def profile_as_of(
        self, workspace: int, stream: UUID, when: int | datetime
    ) -> ProfileAsOf | None:
        """Returns the profile of a stream as of a position or instant; None if unknown by then."""
        stream_of = partial(self.stream_of, workspace)
        with self._query_store.connection() as connection:
            point = positions.point_at(connection, workspace, when)
            return point and as_of.profile_as_of(connection, workspace, stream, stream_of, point)

    def stream_events(
        self, workspace: int, streams: Sequence[UUID], *, after: int, until: int, limit: int
    ) -> Sequence[RecordedEvent]:
        """Returns the streams' events at positions after ``after`` up to ``until``, in order."""
        with self._query_store.connection() as connection:
            return history.stream_events(
                connection, workspace, streams, after=after, until=until, limit=limit
            )

    def run_snapshotter(self, stop: Stop) -> None:
        """Takes snapshots of long streams as the ledger grows, until ``stop`` is set."""
        Snapshotter(self._store, self.heads).run(stop)

    def list_rejected(
        self,
        workspace: int,
        *,
        code: str | None = None,
        source: str | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 50,
    ) -> Sequence[RejectedRow]:
        """Returns the stored rejections, newest first."""
        return rejected.list_rejected(
            self._store, workspace, code=code, source=source, before=before, limit=limit
        )

    def list_suppressions(
        self, workspace: int, after: UUID, limit: int
    ) -> tuple[int, Sequence[Suppression]]:
        """Returns the number of suppressed profiles and a page of them, by id, after ``after``."""
        with self._store.connection() as connection:
            return list_suppressions(connection, workspace, after, limit)

    def close(self) -> None:
        """Writes what is queued, then stops the writers."""
        self.commits.close()

    def preparer(self, workspace: int) -> MessagePreparer:
        """Returns what prepares messages of a workspace for `commits`."""
        preparer = self._preparers.get(workspace)
        if preparer is None:
            with self._preparer_lock:
                secret = self._workspaces.secret(workspace)
                preparer = self._preparers.setdefault(workspace, MessagePreparer(secret))
        return preparer

    def _append(
        self, workspace: int, entries: Sequence[PreparedMessage], rejections: Sequence[Rejection]
    ) -> AppendResult:
        """Writes a flush; prepares it again if an erasure or suppression happened in the meantime."""
        with self._store.raw_connection() as connection:
            while True:
                preparer = self.preparer(workspace)
                filtered = Filtered(preparer.prepare_again_if_stale(entries), frozenset(), ())
                if preparer.has_suppressions:
                    filtered = filter_suppressed(
                        connection, workspace, filtered.entries, preparer.stream_of
                    )
                try:
                    result = append(
                        connection,
                        workspace,
                        preparer.secret,
                        filtered.entries,
                        (*rejections, *filtered.rejections),
                        erasure_epoch=preparer.erasure_epoch,
                    )
                except StaleErasureEpoch as stale:
                    self._preparers[workspace] = MessagePreparer(
                        preparer.secret,
                        erasure_epoch=stale.erasure_epoch,
                        has_suppressions=has_suppressions(connection, workspace),
                    )
                    continue
                mark_links_durable(result.links)
                return result._replace(suppressed=filtered.suppressed)
