"""Subscriptions: deliver recorded events to an endpoint, each once per subscription.

A subscription reads the ledger in order from its own position.  It enqueues deliveries and advances its
position in one transaction; a rebuild does not move it.  The order of arrival at the endpoint is not
promised: each delivery is retried on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from threading import Event
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from msgspec import Raw

from application.definitions.outbound_definitions import OutboundDefinitionService
from application.definitions.store import CommandContext, DefinitionResult
from application.deliveries.endpoints import EndpointService
from application.ledger.store import LedgerDatastore
from application.ledger.tables import subscriptions as subscription_table
from application.ledger.tables.outbox import NewDelivery, enqueue
from application.ledger.tables.subscriptions import SubscriptionRow
from domain.core.errors import FoldlineError, InvalidRequest, LedgerGap, NotFound
from domain.definitions.definition import DefinitionVersion
from domain.delivery import event_filter
from domain.delivery.event_filter import EventFilter, SubscriptionDefinition
from domain.delivery.outbound import Subscription, SubscriptionDefined
from domain.events.events import DefinitionEvent, MessageEvent, SystemEventOccurred
from domain.events.payload import ParsedMessage
from domain.events.recorded import RecordedEvent

BATCH_SIZE = 500
"""Events that one subscription reads in one transaction."""

BUSY_POLL_SECONDS, IDLE_POLL_SECONDS, RETRY_SECONDS = 0.025, 0.1, 1.0
"""Pause after events were found, after none were found, and after an error."""

log = structlog.get_logger(__name__)


class SubscriptionService(OutboundDefinitionService[Subscription]):
    """Commands and queries about subscriptions, and the follower that enqueues their deliveries."""

    kind = Subscription

    def __init__(
        self,
        store: LedgerDatastore,
        endpoints: EndpointService,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(store, now)
        self._endpoints = endpoints

    def create(
        self,
        workspace: int,
        id_: str | None,
        definition: DefinitionVersion,
        context: CommandContext,
        *,
        after: int | None = None,
    ) -> DefinitionResult[Subscription]:
        """Creates a subscription to the events after a position, by default the ledger head.

        Without ``id_`` a random one is used.  Raises InvalidRequest, Conflict.
        """
        self.validate(workspace, id_, definition)
        with self._transaction(workspace) as transaction:
            result = self._create(transaction, id_, definition, context)
            if result.changed and after is not None:
                subscription_table.advance(
                    transaction.connection, workspace, result.state.id, after
                )
        return result

    def get(self, workspace: int, id_: str) -> SubscriptionRow:
        """Returns a subscription.  Raises NotFound."""
        with self._store.connection() as connection:
            row = subscription_table.find(connection, workspace, id_)
        if row is None:
            raise _not_found(id_)
        return row

    def list(self, workspace: int, after: str, limit: int) -> Sequence[SubscriptionRow]:
        """Returns subscriptions by id; ``after`` is the last id of the page before."""
        with self._store.connection() as connection:
            return subscription_table.list_subscriptions(connection, workspace, after, limit)

    def enqueue_new_events(self) -> bool:
        """Enqueues one batch of new events for every subscription; returns whether there were any."""
        with self._store.connection() as connection:
            advanced = [
                self._try_enqueue_batch(connection, workspace, id_)
                for workspace, id_ in subscription_table.lagging(connection)
            ]
        return any(advanced)

    def run(self, stop: Event) -> None:
        """Follows the ledger until ``stop`` is set."""
        while not stop.is_set():
            pause = IDLE_POLL_SECONDS
            try:
                pause = BUSY_POLL_SECONDS if self.enqueue_new_events() else IDLE_POLL_SECONDS
            except (
                psycopg.Error,
                FoldlineError,
            ) as error:  # nothing is lost: the positions did not move
                log.warning("subscriptions_database_unavailable", error=str(error))
                pause = RETRY_SECONDS
            stop.wait(pause)

    def validate(self, workspace: int, _id: str | None, definition: DefinitionVersion) -> None:
        """Raises InvalidRequest if the endpoint does not exist."""
        endpoint = event_filter.decode_subscription(definition.document).endpoint
        try:
            self._endpoints.get(workspace, endpoint)
        except NotFound as error:
            raise InvalidRequest(f"{error}; create it first", endpoint=endpoint) from None

    def _save_row(
        self,
        connection: psycopg.Connection[Any],
        workspace: int,
        version: int,
        event: DefinitionEvent,
    ) -> None:
        """Writes the definition of a subscription; its position stays."""
        id_ = Subscription.id_in(event)
        if isinstance(event, SubscriptionDefined):
            subscription_table.save(
                connection, workspace, id_, version, event.document, now=event.occurred_at
            )
        else:
            subscription_table.delete(connection, workspace, id_)

    def _try_enqueue_batch(
        self, connection: psycopg.Connection[Any], workspace: int, id_: str
    ) -> bool:
        """Enqueues one batch of one subscription.  A gap in its ledger stops no other subscription."""
        try:
            return self._enqueue_batch(connection, workspace, id_)
        except LedgerGap as error:
            log.error("subscription_stalled", subscription=id_, error=str(error))  # noqa: TRY400
            return False

    def _enqueue_batch(self, connection: psycopg.Connection[Any], workspace: int, id_: str) -> bool:
        with connection.transaction():
            subscription = subscription_table.lock_subscription(connection, workspace, id_)
            if (
                subscription is None
                or (definition := event_filter.decode_subscription(subscription.definition)).paused
            ):
                return False
            events = subscription_table.next_events(connection, subscription, BATCH_SIZE)
            if not events:
                return False
            for expected, recorded in enumerate(events, subscription.position + 1):
                if recorded.position != expected:
                    raise LedgerGap(
                        f"position {expected} is missing from workspace {workspace}",
                        workspace=workspace,
                        expected=expected,
                    )
            enqueue(connection, workspace, list(self._deliveries(subscription, definition, events)))
            subscription_table.advance(connection, workspace, id_, events[-1].position)
        return True

    def _deliveries(
        self,
        subscription: SubscriptionRow,
        definition: SubscriptionDefinition,
        events: Sequence[RecordedEvent],
    ) -> Iterator[NewDelivery]:
        select = _compiled_filter(subscription.id, subscription.definition).select
        now = self._now()
        action = msgspec.json.encode({"webhook": {"endpoint": definition.endpoint}})
        for recorded in events:
            event = recorded.event
            document = select(event) if isinstance(event, MessageEvent) else None
            if document is not None:
                assert isinstance(event, MessageEvent)
                yield NewDelivery(
                    id=_delivery_id(subscription, recorded.position),
                    rule=f"stream:{subscription.id}",
                    version=subscription.version,
                    cause=f"position {recorded.position}",
                    profile_stream=(
                        None if isinstance(event, SystemEventOccurred) else recorded.stream
                    ),
                    action=action,
                    context=msgspec.json.encode({"event": _event_json(recorded, event, document)}),
                    due_at=now,
                )


def _not_found(id_: str) -> NotFound:
    return NotFound(f"subscription {id_!r} does not exist", stream=id_)


@lru_cache(maxsize=256)
def _compiled_filter(subscription: str, definition: bytes) -> EventFilter:
    return EventFilter(subscription, event_filter.decode_subscription(definition))


def _delivery_id(subscription: SubscriptionRow, position: int) -> UUID:
    """Returns the delivery's id.

    It includes the time of creation: a subscription that was deleted and created again under the same id
    sends its events again.
    """
    facts = (subscription.workspace, subscription.id, subscription.created_at.isoformat(), position)
    text = "\0".join(map(str, facts)).encode()
    return UUID(bytes=blake2b(text, digest_size=16, person=b"stream delivery").digest())


def _event_json(
    recorded: RecordedEvent, event: MessageEvent, document: ParsedMessage
) -> dict[str, Any]:
    """Returns an event as lists show it, with the profile's id and the event's identifier."""
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
