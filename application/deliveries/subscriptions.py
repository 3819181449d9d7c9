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

from application.deliveries.endpoints import ID_PATTERN, EndpointService
from application.ledger.store import LedgerDatastore
from application.ledger.tables import subscriptions as kept
from application.ledger.tables.outbox import NewDelivery, enqueue
from application.ledger.tables.subscriptions import SubscriptionRow
from domain.core.errors import Conflict, FoldlineError, InvalidRequest, LedgerGap, NotFound
from domain.delivery import event_filter
from domain.delivery.event_filter import EventFilter, SubscriptionDefinition
from domain.events.events import MessageEvent, SystemEventOccurred
from domain.events.payload import ParsedMessage
from domain.events.recorded import RecordedEvent

BATCH_SIZE = 500
BUSY_POLL_SECONDS, IDLE_POLL_SECONDS, RETRY_SECONDS = 0.025, 0.1, 1.0

log = structlog.get_logger(__name__)


class SubscriptionService:
    """Decides about outbound streams, and follows the ledger for them."""

    def __init__(
        self,
        store: LedgerDatastore,
        endpoints: EndpointService,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._endpoints, self._now = store, endpoints, now

    def create(
        self, workspace: int, id_: str | None, definition: SubscriptionDefinition, after: int | None
    ) -> SubscriptionRow:
        """Add a stream of what follows a position, the last one unless said.

        Raises InvalidRequest, Conflict.
        """
        id_ = secrets.token_hex(8) if id_ is None else id_
        if not ID_PATTERN.fullmatch(id_):
            raise InvalidRequest(
                f"{id_!r} is no stream id; write 1 to 64 of a-z, 0-9, - and _, such as warehouse"
            )
        self._require_endpoint(workspace, definition)
        with self._store.connection() as connection:
            encoded = event_filter.encode_subscription(definition)
            if not kept.insert(connection, workspace, id_, encoded, after, self._now()):
                raise Conflict(f"there is a stream {id_!r} already", stream=id_)
        return self.get(workspace, id_)

    def update(
        self, workspace: int, id_: str, definition: SubscriptionDefinition
    ) -> SubscriptionRow:
        """Let it send other things from where it is.  Raises InvalidRequest, NotFound."""
        self.get(workspace, id_)
        self._require_endpoint(workspace, definition)
        with self._store.connection() as connection:
            kept.update(connection, workspace, id_, event_filter.encode_subscription(definition))
        return self.get(workspace, id_)

    def delete(self, workspace: int, id_: str) -> None:
        """Remove it; what it has taken in is sent all the same.  Raises NotFound."""
        with self._store.connection() as connection:
            if not kept.delete(connection, workspace, id_):
                raise NotFound(f"there is no stream {id_!r}", stream=id_)

    def get(self, workspace: int, id_: str) -> SubscriptionRow:
        """Return one.  Raises NotFound."""
        with self._store.connection() as connection:
            found = kept.find(connection, workspace, id_)
        if found is None:
            raise NotFound(f"there is no stream {id_!r}", stream=id_)
        return found

    def list(self, workspace: int, after: str, limit: int) -> Sequence[SubscriptionRow]:
        """Return a workspace's streams, by id."""
        with self._store.connection() as connection:
            return kept.list_subscriptions(connection, workspace, after, limit)

    def enqueue_new_events(self) -> bool:
        """Take what is new into every stream, a batch each; say whether there was anything."""
        with self._store.connection() as connection:
            moved = [self._try_enqueue_batch(connection, *it) for it in kept.lagging(connection)]
        return any(moved)

    def run(self, stop: Stop) -> None:
        """Follow the ledger until told to stop."""
        while not stop.is_set():
            pause = IDLE_POLL_SECONDS
            try:
                pause = BUSY_POLL_SECONDS if self.enqueue_new_events() else IDLE_POLL_SECONDS
            except (psycopg.Error, FoldlineError) as error:  # nothing is lost: positions stay
                log.warning("outbound streams wait", error=str(error))
                pause = RETRY_SECONDS
            stop.wait(pause)

    def _require_endpoint(self, workspace: int, definition: SubscriptionDefinition) -> None:
        try:
            self._endpoints.get(workspace, definition.endpoint)
        except NotFound as error:
            raise InvalidRequest(f"{error}; make it first", endpoint=definition.endpoint) from None

    def _try_enqueue_batch(
        self, connection: psycopg.Connection[Any], workspace: int, id_: str
    ) -> bool:
        """Take a batch into one stream.  What is wrong with it holds up no other."""
        try:
            return self._enqueue_batch(connection, workspace, id_)
        except LedgerGap as error:
            log.error("an outbound stream stands still", stream=id_, error=str(error))  # noqa: TRY400
            return False

    def _enqueue_batch(self, connection: psycopg.Connection[Any], workspace: int, id_: str) -> bool:
        with connection.transaction():
            subscription = kept.lock_subscription(connection, workspace, id_)
            if (
                subscription is None
                or (definition := event_filter.decode_subscription(subscription.definition)).paused
            ):
                return False
            events = kept.next_events(connection, subscription, BATCH_SIZE)
            if not events:
                return False
            for expected, it in enumerate(events, subscription.position + 1):
                if it.position != expected:
                    raise LedgerGap(
                        f"position {expected} is missing from workspace {workspace}",
                        workspace=workspace,
                        expected=expected,
                    )
            enqueue(connection, workspace, list(self._deliveries(subscription, definition, events)))
            kept.advance(connection, subscription, events[-1].position)
        return True

    def _deliveries(
        self,
        subscription: SubscriptionRow,
        definition: SubscriptionDefinition,
        events: Sequence[RecordedEvent],
    ) -> Iterator[NewDelivery]:
        match_event, now = (
            _compiled_filter(subscription.id, subscription.definition).select,
            self._now(),
        )
        action = msgspec.json.encode({"webhook": {"endpoint": definition.endpoint}})
        for it in events:
            event = it.event
            document = match_event(event) if isinstance(event, MessageEvent) else None
            if document is not None:
                assert isinstance(event, MessageEvent)
                yield NewDelivery(
                    id=_delivery_id(subscription, it.position),
                    rule=f"stream:{subscription.id}",
                    version=subscription.version,
                    cause=f"position {it.position}",
                    profile_stream=None if isinstance(event, SystemEventOccurred) else it.stream,
                    action=action,
                    context=msgspec.json.encode({"event": _event_json(it, event, document)}),
                    due_at=now,
                )


@lru_cache(maxsize=256)
def _compiled_filter(subscription: str, definition: bytes) -> EventFilter:
    return EventFilter(subscription, event_filter.decode_subscription(definition))


def _delivery_id(subscription: SubscriptionRow, position: int) -> UUID:
    """Return the delivery's id; that a stream was made anew under the same id makes another of it."""
    facts = (subscription.workspace, subscription.id, subscription.created_at.isoformat(), position)
    text = "\0".join(map(str, facts)).encode()
    return UUID(bytes=blake2b(text, digest_size=16, person=b"stream delivery").digest())


def _event_json(
    recorded: RecordedEvent, event: MessageEvent, document: ParsedMessage
) -> dict[str, Any]:
    """Return an event as it is sent: as lists show it, and whom it is of."""
    subject = event.subject
    return {
        "id": event.id,
        "position": recorded.position,
        "message_id": event.message_id,
        "kind": event.kind,
        "name": document.name,
        "profile_id": None if isinstance(event, SystemEventOccurred) else recorded.stream,
        "identifier": None if subject is None else {"kind": subject.kind, "value": subject.value},
        "occurred_at": event.occurred_at,
        "received_at": event.received_at,
        "recorded_at": recorded.recorded_at,
        "channel": document.channel,
        "session_id": document.session_id,
        "source": event.source,
        "properties": Raw(document.properties_json),
    }
