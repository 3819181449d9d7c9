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

from application.ledger.append.append import Appended, append
from application.ledger.append.group_commit import GroupCommit, Limits
from application.ledger.append.prepared import (
    Entry,
    Outdated,
    Preparation,
    Receipt,
    Rejection,
    known_from_now_on,
)
from application.ledger.erasure.erasure import Trace, trace
from application.ledger.erasure.suppression import (
    Sifted,
    Suppression,
    any_suppressed,
    sift,
    suppressions,
)
from application.ledger.read import as_of, history, positions, profiles, snapshots
from application.ledger.read.profiles import LATEST
from application.ledger.read.snapshotter import Keeper
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
from domain.events.recorded import Recorded
from domain.identity.resolution import Fact
from domain.identity.resolved_profile import Person
from domain.profiles.as_of import Past, Place
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
        asked: LedgerDatastore | None = None,
        limits: Limits = Limits(),  # noqa: B008 - immutable
        writers: int = 2,
        on_flush: Callable[[int, float], None] = lambda _messages, _seconds: None,
    ) -> None:
        self._store, self._asked, self._workspaces = store, asked or store, workspaces
        self._preparations: dict[int, Preparation] = {}
        self._lock, self._deciding = Lock(), Lock()
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
        entries = self._preparation(workspace).entries(messages)
        return self._commits.submit(workspace, entries, rejections)

    def read(self, workspace: int, after: int, limit: int) -> Sequence[Recorded]:
        """Return what follows a position, in order, at most ``limit`` events."""
        with self._store.asking() as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_READ, (workspace, after, limit)).fetchall()
        return [history.recorded(row) for row in rows]

    def at(self, workspace: int, position: int) -> Recorded | None:
        """Return the event at a position, or None past the end."""
        found = self.read(workspace, position - 1, 1)
        return found[0] if found and found[0].position == position else None

    def heads(self) -> Mapping[int, int]:
        """Return the last position of each workspace."""
        with self._store.asking() as connection:
            return dict(connection.execute(_HEADS).fetchall())

    def clock(self, workspace: int) -> Place:
        """Return the last position and the time: no later event has an earlier one.

        Moves the ledger's own clock, so it waits for those who are appending.
        """
        with self._store.asking() as connection:
            return positions.clock(connection, workspace)

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        """Return the id of an identifier's stream, whether or not it has events."""
        return UUID(bytes=self._preparation(workspace).stream_of(identifier))

    def segment_stream(self, workspace: int, segment: str) -> UUID:
        """Return the id of the stream of what is decided about a segment."""
        return UUID(bytes=segment_stream(self._preparation(workspace).secret, segment))

    def funnel_stream(self, workspace: int, funnel: str) -> UUID:
        """Return the id of the stream of what is decided about a saved funnel."""
        return UUID(bytes=funnel_stream(self._preparation(workspace).secret, funnel))

    def attributes_stream(self, workspace: int) -> UUID:
        """Return the id of the stream of what is decided about computed attributes."""
        return UUID(bytes=attributes_stream(self._preparation(workspace).secret))

    def rule_stream(self, workspace: int, rule: str) -> UUID:
        """Return the id of the stream of what is decided about an automation rule."""
        return UUID(bytes=rule_stream(self._preparation(workspace).secret, rule))

    def trigger_digest(self, workspace: int, rule: str, version: int, cause: str) -> bytes:
        """Return the 16 bytes by which it is known for ever whether a trigger has fired."""
        return trigger_digest(self._preparation(workspace).secret, rule, version, cause)

    @contextmanager
    def firing(self) -> Iterator[Connection[Any]]:
        """Give a transaction in which triggers fire."""
        with self._asked.asking() as connection, connection.transaction():
            yield connection

    @contextmanager
    def deciding(self, workspace: int) -> Iterator[Connection[Any]]:
        """Give a transaction in which nobody else decides about segments or rules of the workspace."""
        # Who waits here for a turn takes no connection from those who ask about people.
        with self._deciding, self._asked.asking() as connection, connection.transaction():
            definitions.wait_for_turn(connection, workspace)
            yield connection

    def person(self, workspace: int, stream: UUID, until: int = LATEST) -> Person:
        """Return the person whose stream it is, as known at position ``until``: now, unless said."""
        stream_of = partial(self.stream_of, workspace)
        with self._asked.asking() as connection:
            return profiles.person(connection, workspace, stream, stream_of, until)

    def trace(self, connection: Connection[Any], workspace: int, stream: UUID) -> Trace:
        """Return, in a transaction of the caller, all by which the stream's person can be found."""
        secret = self._preparation(workspace).secret
        return trace(connection, workspace, stream, secret, partial(self.stream_of, workspace))

    def facts(self, workspace: int, stream: UUID) -> Sequence[Fact]:
        """Return all that was said about who the stream's person may be."""
        with self._asked.asking() as connection:
            return profiles.facts(connection, workspace, stream)

    def attested(self, workspace: int, streams: Iterable[UUID]) -> Mapping[int, Event]:
        """Return, by position, all that was said about who the persons of these streams may be."""
        with self._asked.asking() as connection:
            return profiles.attested(connection, workspace, streams)

    def states(self, workspace: int, streams: Sequence[UUID]) -> Mapping[UUID, ProfileState]:
        """Return what the events of each stream add up to, of those that have any."""
        with self._asked.asking() as connection:
            versions = positions.versions_at(connection, workspace, streams, LATEST)
            return snapshots.states_at(connection, workspace, versions)

    def place(self, workspace: int, when: int | datetime = LATEST) -> Place | None:
        """Return the last place that is not after a position or instant; None before the first."""
        with self._asked.asking() as connection:
            return positions.place(connection, workspace, when)

    def past(self, workspace: int, stream: UUID, when: int | datetime) -> Past | None:
        """Return the person whose stream it is, as they were at a position or instant.

        None of somebody nothing was known of by then.
        """
        stream_of = partial(self.stream_of, workspace)
        with self._asked.asking() as connection:
            place = positions.place(connection, workspace, when)
            return place and as_of.past(connection, workspace, stream, stream_of, place)

    def history(
        self, workspace: int, streams: Sequence[UUID], *, after: int, until: int, limit: int
    ) -> Sequence[Recorded]:
        """Return the streams' events between two positions, the latter included, in order."""
        with self._asked.asking() as connection:
            return history.history(
                connection, workspace, streams, after=after, until=until, limit=limit
            )

    def keep_snapshots(self, stop: Stop) -> None:
        """Take snapshots of long streams as the ledger grows, until told to stop."""
        Keeper(self._store, self.heads).run(stop)

    def rejected(
        self,
        workspace: int,
        *,
        code: str | None = None,
        source: str | None = None,
        before: tuple[datetime, UUID] | None = None,
        limit: int = 50,
    ) -> Sequence[rejects.RejectedRow]:
        """Return what could not be accepted, newest first."""
        return rejects.rejected(
            self._store, workspace, code=code, source=source, before=before, limit=limit
        )

    def suppressions(
        self, workspace: int, after: UUID, limit: int
    ) -> tuple[int, Sequence[Suppression]]:
        """Return how many people are suppressed, and those that follow ``after``."""
        with self._store.asking() as connection:
            return suppressions(connection, workspace, after, limit)

    @property
    def waiting(self) -> int:
        """Messages that were taken in but are not yet durable."""
        return self._commits.waiting

    def close(self) -> None:
        """Write what is waiting, then stop writing."""
        self._commits.close()

    def _preparation(self, workspace: int) -> Preparation:
        found = self._preparations.get(workspace)
        if found is None:
            with self._lock:
                secret = self._workspaces.secret(workspace)
                found = self._preparations.setdefault(workspace, Preparation(secret))
        return found

    def _append(
        self, workspace: int, entries: Sequence[Entry], rejections: Sequence[Rejection]
    ) -> Appended:
        """Write a flush.  If somebody was erased since it was put together, put it together anew."""
        with self._store.writing() as connection:
            while True:
                preparation = self._preparation(workspace)
                secret, erasures = preparation.secret, preparation.erasures
                sifted = Sifted(preparation.renewed(entries), frozenset(), ())
                if preparation.suppresses:
                    sifted = sift(connection, workspace, sifted.entries, preparation.stream_of)
                refused = (*rejections, *sifted.counted)
                try:
                    done = append(connection, workspace, secret, sifted.entries, refused, erasures)
                except Outdated as outdated:
                    suppresses = any_suppressed(connection, workspace)
                    self._preparations[workspace] = Preparation(
                        secret, erasures=outdated.erasures, suppresses=suppresses
                    )
                    continue
                known_from_now_on(done.links)
                return done._replace(suppressed=sifted.suppressed)
