"""The ledger of every workspace: messages in, recorded events out."""

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
    Rejection,
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
from application.ledger.tables import definitions
from application.ledger.tables import rejected as rejects
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
from domain.identity.resolution import IdentityFact
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles.as_of import LedgerPoint, ProfileAsOf
from domain.profiles.state import ProfileState

_READ = """
SELECT position, originator_id, originator_version, recorded_at, topic, state
FROM ledger.event WHERE workspace = %s AND position > %s ORDER BY position LIMIT %s
"""

_HEADS = "SELECT workspace, last_position FROM ledger.ledger_head"


class Ledger:
    """Append and read, for all workspaces of one database.

    ``asked`` are the connections that questions about people are answered on, so that none of them
    keeps a flush waiting; those of ``store`` if there are no others.
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
        self._commits = GroupCommit(self._append, limits=limits, writers=writers, on_flush=on_flush)

    def record(
        self,
        workspace: int,
        messages: Sequence[Message],
        rejections: Sequence[Rejection] = (),
    ) -> Future[Receipt]:
        """Record messages of one request; the future is done once they are durable.

        A message whose id is known adds nothing.  Raises Overloaded; the future may raise
        LedgerUnavailable, and then it is open whether they were recorded: sending them again is safe.
        """
        entries = self._preparer(workspace).prepare(messages)
        return self._commits.submit(workspace, entries, rejections)

    def read(self, workspace: int, after: int, limit: int) -> Sequence[RecordedEvent]:
        """Return what follows a position, in order, at most ``limit`` events."""
        with self._store.connection() as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_READ, (workspace, after, limit)).fetchall()
        return [history.recorded_event(row) for row in rows]

    def event_at(self, workspace: int, position: int) -> RecordedEvent | None:
        """Return the event at a position, or None past the end."""
        found = self.read(workspace, position - 1, 1)
        return found[0] if found and found[0].position == position else None

    def heads(self) -> Mapping[int, int]:
        """Return the last position of each workspace."""
        with self._store.connection() as connection:
            return dict(connection.execute(_HEADS).fetchall())

    def clock(self, workspace: int) -> LedgerPoint:
        """Return the last position and the time: no later event has an earlier one.

        Moves the ledger's own clock, so it waits for those who are appending.
        """
        with self._store.connection() as connection:
            return positions.advance_clock(connection, workspace)

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        """Return the id of an identifier's stream, whether or not it has events."""
        return UUID(bytes=self._preparer(workspace).stream_of(identifier))

    def segment_stream(self, workspace: int, segment: str) -> UUID:
        """Return the id of the stream of what is decided about a segment."""
        return UUID(bytes=segment_stream(self._preparer(workspace).secret, segment))

    def funnel_stream(self, workspace: int, funnel: str) -> UUID:
        """Return the id of the stream of what is decided about a saved funnel."""
        return UUID(bytes=funnel_stream(self._preparer(workspace).secret, funnel))

    def attributes_stream(self, workspace: int) -> UUID:
        """Return the id of the stream of what is decided about computed attributes."""
        return UUID(bytes=attributes_stream(self._preparer(workspace).secret))

    def rule_stream(self, workspace: int, rule: str) -> UUID:
        """Return the id of the stream of what is decided about an automation rule."""
        return UUID(bytes=rule_stream(self._preparer(workspace).secret, rule))

    def trigger_digest(self, workspace: int, rule: str, version: int, cause: str) -> bytes:
        """Return the 16 bytes by which it is known for ever whether a trigger has fired."""
        return trigger_digest(self._preparer(workspace).secret, rule, version, cause)

    @contextmanager
    def firing_transaction(self) -> Iterator[Connection[Any]]:
        """Give a transaction in which triggers fire."""
        with self._query_store.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def definition_transaction(self, workspace: int) -> Iterator[Connection[Any]]:
        """Give a transaction in which nobody else decides about segments or rules of the workspace."""
        # Who waits here for a turn takes no connection from those who ask about people.
        with (
            self._definition_lock,
            self._query_store.connection() as connection,
            connection.transaction(),
        ):
            definitions.lock_definitions(connection, workspace)
            yield connection

    def profile(self, workspace: int, stream: UUID, until: int = LATEST) -> ResolvedProfile:
        """Return the person whose stream it is, as known at position ``until``: now, unless said."""
        stream_of = partial(self.stream_of, workspace)
        with self._query_store.connection() as connection:
            return profiles.load_profile(connection, workspace, stream, stream_of, until)

    def trace_profile(
        self, connection: Connection[Any], workspace: int, stream: UUID
    ) -> ProfileTrace:
        """Return, in a transaction of the caller, all by which the stream's person can be found."""
        secret = self._preparer(workspace).secret
        return trace_profile(
            connection, workspace, stream, secret, partial(self.stream_of, workspace)
        )

    def identity_facts_for(self, workspace: int, stream: UUID) -> Sequence[IdentityFact]:
        """Return all that was said about who the stream's person may be."""
        with self._query_store.connection() as connection:
            return profiles.identity_facts_for(connection, workspace, stream)

    def identity_events_for(self, workspace: int, streams: Iterable[UUID]) -> Mapping[int, Event]:
        """Return, by position, all that was said about who the persons of these streams may be."""
        with self._query_store.connection() as connection:
            return profiles.identity_events_for(connection, workspace, streams)

    def stream_states(self, workspace: int, streams: Sequence[UUID]) -> Mapping[UUID, ProfileState]:
        """Return what the events of each stream add up to, of those that have any."""
        with self._query_store.connection() as connection:
            versions = positions.versions_at(connection, workspace, streams, LATEST)
            return snapshots.load_states(connection, workspace, versions)

    def point_at(self, workspace: int, when: int | datetime = LATEST) -> LedgerPoint | None:
        """Return the last place that is not after a position or instant; None before the first."""
        with self._query_store.connection() as connection:
            return positions.point_at(connection, workspace, when)

    def profile_as_of(
        self, workspace: int, stream: UUID, when: int | datetime
    ) -> ProfileAsOf | None:
        """Return the person whose stream it is, as they were at a position or instant.

        None of somebody nothing was known of by then.
        """
        stream_of = partial(self.stream_of, workspace)
        with self._query_store.connection() as connection:
            place = positions.point_at(connection, workspace, when)
            return place and as_of.profile_as_of(connection, workspace, stream, stream_of, place)

    def stream_events(
        self, workspace: int, streams: Sequence[UUID], *, after: int, until: int, limit: int
    ) -> Sequence[RecordedEvent]:
        """Return the streams' events between two positions, the latter included, in order."""
        with self._query_store.connection() as connection:
            return history.stream_events(
                connection, workspace, streams, after=after, until=until, limit=limit
            )

    def run_snapshotter(self, stop: Stop) -> None:
        """Take snapshots of long streams as the ledger grows, until told to stop."""
        Snapshotter(self._store, self.heads).run(stop)

    def list_rejected(
        self,
        workspace: int,
        *,
        code: str | None = None,
        source: str | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 50,
    ) -> Sequence[rejects.RejectedRow]:
        """Return what could not be accepted, newest first."""
        return rejects.list_rejected(
            self._store, workspace, code=code, source=source, before=before, limit=limit
        )

    def list_suppressions(
        self, workspace: int, after: UUID, limit: int
    ) -> tuple[int, Sequence[Suppression]]:
        """Return how many people are suppressed, and those that follow ``after``."""
        with self._store.connection() as connection:
            return list_suppressions(connection, workspace, after, limit)

    @property
    def queued_messages(self) -> int:
        """Messages that were taken in but are not yet durable."""
        return self._commits.queued_messages

    def close(self) -> None:
        """Write what is waiting, then stop writing."""
        self._commits.close()

    def _preparer(self, workspace: int) -> MessagePreparer:
        found = self._preparers.get(workspace)
        if found is None:
            with self._preparer_lock:
                secret = self._workspaces.secret(workspace)
                found = self._preparers.setdefault(workspace, MessagePreparer(secret))
        return found

    def _append(
        self, workspace: int, entries: Sequence[PreparedMessage], rejections: Sequence[Rejection]
    ) -> AppendResult:
        """Write a flush.  If somebody was erased since it was put together, put it together anew."""
        with self._store.raw_connection() as connection:
            while True:
                preparation = self._preparer(workspace)
                secret, erasures = preparation.secret, preparation.erasure_epoch
                sifted = Filtered(preparation.prepare_again_if_stale(entries), frozenset(), ())
                if preparation.has_suppressions:
                    sifted = filter_suppressed(
                        connection, workspace, sifted.entries, preparation.stream_of
                    )
                refused = (*rejections, *sifted.rejections)
                try:
                    done = append(connection, workspace, secret, sifted.entries, refused, erasures)
                except StaleErasureEpoch as outdated:
                    suppresses = has_suppressions(connection, workspace)
                    self._preparers[workspace] = MessagePreparer(
                        secret, erasure_epoch=outdated.erasure_epoch, has_suppressions=suppresses
                    )
                    continue
                mark_links_durable(done.links)
                return done._replace(suppressed=sifted.suppressed)
