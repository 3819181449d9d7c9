"""Outbound streams: what is recorded goes on to an endpoint, each event once per stream.

A stream reads the ledger in order from a position of its own, and takes its deliveries in with the move of
that position.  No rebuild moves it.  In which order deliveries arrive at the endpoint is not promised: each
is tried again on its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from threading import Event as Stop
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from msgspec import Raw

from application.deliveries.endpoints import ID, Endpoints
from application.ledger.store import LedgerDatastore
from application.ledger.tables import subscriptions as kept
from application.ledger.tables.outbox import NewDelivery, enqueue
from application.ledger.tables.subscriptions import Stream
from domain.core.errors import Conflict, FoldlineError, HoleInLedger, InvalidRequest, NotFound
from domain.delivery import event_filter
from domain.delivery.event_filter import Definition, Filter
from domain.events.events import MessageEvent, SystemOccurred
from domain.events.payload import Document
from domain.events.recorded import Recorded

BATCH = 500
BUSY_SECONDS, IDLE_SECONDS, RETRY_SECONDS = 0.025, 0.1, 1.0

log = structlog.get_logger(__name__)


class Streams:
    """Decides about outbound streams, and follows the ledger for them."""

    def __init__(
        self,
        store: LedgerDatastore,
        endpoints: Endpoints,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._endpoints, self._now = store, endpoints, now

    def create(
        self, workspace: int, id_: str | None, wanted: Definition, after: int | None
    ) -> Stream:
        """Add a stream of what follows a position, the last one unless said.

        Raises InvalidRequest, Conflict.
        """
        id_ = secrets.token_hex(8) if id_ is None else id_
        if not ID.fullmatch(id_):
            raise InvalidRequest(
                f"{id_!r} is no stream id; write 1 to 64 of a-z, 0-9, - and _, such as warehouse"
            )
        self._check(workspace, wanted)
        with self._store.asking() as connection:
            made = event_filter.encode(wanted)
            if not kept.create(connection, workspace, id_, made, after, self._now()):
                raise Conflict(f"there is a stream {id_!r} already", stream=id_)
        return self.get(workspace, id_)

    def change(self, workspace: int, id_: str, wanted: Definition) -> Stream:
        """Let it send other things from where it is.  Raises InvalidRequest, NotFound."""
        self.get(workspace, id_)
        self._check(workspace, wanted)
        with self._store.asking() as connection:
            kept.change(connection, workspace, id_, event_filter.encode(wanted))
        return self.get(workspace, id_)

    def delete(self, workspace: int, id_: str) -> None:
        """Remove it; what it has taken in is sent all the same.  Raises NotFound."""
        with self._store.asking() as connection:
            if not kept.delete(connection, workspace, id_):
                raise NotFound(f"there is no stream {id_!r}", stream=id_)

    def get(self, workspace: int, id_: str) -> Stream:
        """Return one.  Raises NotFound."""
        with self._store.asking() as connection:
            found = kept.find(connection, workspace, id_)
        if found is None:
            raise NotFound(f"there is no stream {id_!r}", stream=id_)
        return found

    def list(self, workspace: int, after: str, limit: int) -> Sequence[Stream]:
        """Return a workspace's streams, by id."""
        with self._store.asking() as connection:
            return kept.streams(connection, workspace, after, limit)

    def follow(self) -> bool:
        """Take what is new into every stream, a batch each; say whether there was anything."""
        with self._store.asking() as connection:
            moved = [self._try(connection, *it) for it in kept.behind(connection)]
        return any(moved)

    def run(self, stop: Stop) -> None:
        """Follow the ledger until told to stop."""
        while not stop.is_set():
            pause = IDLE_SECONDS
            try:
                pause = BUSY_SECONDS if self.follow() else IDLE_SECONDS
            except (psycopg.Error, FoldlineError) as error:  # nothing is lost: positions stay
                log.warning("outbound streams wait", error=str(error))
                pause = RETRY_SECONDS
            stop.wait(pause)

    def _check(self, workspace: int, wanted: Definition) -> None:
        try:
            self._endpoints.get(workspace, wanted.endpoint)
        except NotFound as error:
            raise InvalidRequest(f"{error}; make it first", endpoint=wanted.endpoint) from None

    def _try(self, connection: psycopg.Connection[Any], workspace: int, id_: str) -> bool:
        """Take a batch into one stream.  What is wrong with it holds up no other."""
        try:
            return self._take(connection, workspace, id_)
        except HoleInLedger as error:
            log.error("an outbound stream stands still", stream=id_, error=str(error))  # noqa: TRY400
            return False

    def _take(self, connection: psycopg.Connection[Any], workspace: int, id_: str) -> bool:
        with connection.transaction():
            stream = kept.hold(connection, workspace, id_)
            if stream is None or (wanted := event_filter.decode(stream.definition)).paused:
                return False
            events = kept.following(connection, stream, BATCH)
            if not events:
                return False
            for expected, it in enumerate(events, stream.position + 1):
                if it.position != expected:
                    raise HoleInLedger(
                        f"position {expected} is missing from workspace {workspace}",
                        workspace=workspace,
                        expected=expected,
                    )
            enqueue(connection, workspace, list(self._deliveries(stream, wanted, events)))
            kept.move(connection, stream, events[-1].position)
        return True

    def _deliveries(
        self, stream: Stream, wanted: Definition, events: Sequence[Recorded]
    ) -> Iterator[NewDelivery]:
        takes, now = _filter(stream.id, stream.definition).taken, self._now()
        action = msgspec.json.encode({"webhook": {"endpoint": wanted.endpoint}})
        for it in events:
            event = it.event
            said = takes(event) if isinstance(event, MessageEvent) else None
            if said is not None:
                assert isinstance(event, MessageEvent)
                yield NewDelivery(
                    id=_id(stream, it.position),
                    rule=f"stream:{stream.id}",
                    version=stream.version,
                    cause=f"position {it.position}",
                    person=None if isinstance(event, SystemOccurred) else it.stream,
                    action=action,
                    context=msgspec.json.encode({"event": _shown(it, event, said)}),
                    due=now,
                )


@lru_cache(maxsize=256)
def _filter(stream: str, definition: bytes) -> Filter:
    return Filter(stream, event_filter.decode(definition))


def _id(stream: Stream, position: int) -> UUID:
    """Return the delivery's id; that a stream was made anew under the same id makes another of it."""
    facts = (stream.workspace, stream.id, stream.created_at.isoformat(), position)
    text = "\0".join(map(str, facts)).encode()
    return UUID(bytes=blake2b(text, digest_size=16, person=b"stream delivery").digest())


def _shown(recorded: Recorded, event: MessageEvent, said: Document) -> dict[str, Any]:
    """Return an event as it is sent: as lists show it, and whom it is of."""
    of = event.subject
    return {
        "id": event.id,
        "position": recorded.position,
        "message_id": event.message_id,
        "kind": event.kind,
        "name": said.name,
        "profile_id": None if isinstance(event, SystemOccurred) else recorded.stream,
        "identifier": None if of is None else {"kind": of.kind, "value": of.value},
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "recorded_at": recorded.recorded_at,
        "channel": said.channel,
        "session_id": said.session_id,
        "source": event.source,
        "properties": Raw(said.properties_json),
    }
