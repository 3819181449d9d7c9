"""Messages prepared for a flush: event, stream, digest, links and evidence are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from application.ledger.append.evidence import SALT_BYTES, commitment_of, new_salts
from application.ledger.mapper import encode_state
from application.ledger.tables.rejected import Rejection
from domain.core.fast_uuid import uuid_from_bytes
from domain.core.identifiers import (
    Identifier,
    link_digest,
    message_digests,
    stream_id,
    strongest,
    system_stream,
)
from domain.core.time import to_micros
from domain.events.events import Event, IdentifiersLinked, MessageEvent
from domain.events.message import Message
from domain.identity.facts import facts_from_event, identifiers_in
from domain.identity.routing import (
    IdentifierPair,
    IdentifierRouting,
    route_identifiers,
    route_message,
)


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """An event to be written; the append adds its version, position and recording time."""

    stream: bytes
    topic: bytes
    state: bytes
    salt: bytes
    commitment: bytes


class IdentifierLink(msgspec.Struct, gc=False):
    """A pair of identifiers that messages link, and from which instant the ledger has it."""

    identifiers: IdentifierPair
    digest: bytes
    stream: bytes
    """The stream that the link is recorded in: that of the stronger identifier."""

    streams: tuple[bytes, bytes]
    durable_since: datetime = datetime.max.replace(tzinfo=UTC)
    """Earliest ``occurred_at`` with which the link is durable, as far as this process knows."""


class PreparedLink(NamedTuple):
    """A link shown by one message; recorded only if it is new or earlier than the recorded one."""

    link: IdentifierLink
    occurred_at: datetime
    row: EventRow


class _CachedRouting(NamedTuple):
    """Routing of one combination of identifiers, reused for all messages that carry it."""

    identifier_routing: IdentifierRouting
    stream: bytes
    links: tuple[IdentifierLink, ...]


class PreparedMessage(msgspec.Struct, frozen=True, gc=False):
    """One message, ready to be written."""

    digest: bytes
    fingerprint: int
    row: EventRow
    links: tuple[PreparedLink, ...]
    message: Message
    stream_links: tuple[tuple[bytes, bytes], ...] = ()
    """Pairs of streams that an alias, merge or unmerge relates."""

    erasure_epoch: int = 0
    """The workspace's erasure epoch when durable links were left out."""

    def as_rejection(self, code: str, reason: str) -> Rejection:
        """Returns the message as a rejection with a code and a reason."""
        message = self.message
        return Rejection(
            code=code,
            message=reason,
            raw=message.raw or message.payload,
            source=message.source,
            received_at=message.received_at,
            message_id=message.message_id,
        )


class Receipt(NamedTuple):
    """Outcome of one request's messages; exists only once they are durable."""

    position: int
    """The ledger's last position after the flush; read models that reached it show the messages."""

    recorded: int
    duplicates: int
    rejected: int
    suppressed: int = 0
    """Messages dropped because a profile that they name is suppressed."""


class StaleErasureEpoch(Exception):
    """The flush was prepared before an erasure or suppression and was not written."""

    def __init__(self, erasure_epoch: int) -> None:
        super().__init__(f"the workspace's erasure epoch is {erasure_epoch} now")
        self.erasure_epoch = erasure_epoch


class MessagePreparer:
    """Prepares the messages of one workspace and caches which links are durable.

    Valid for one erasure epoch (the number of erasures, suppressions and liftings so far): when it
    changes, a new preparer with empty caches replaces this one.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        erasure_epoch: int = 0,
        has_suppressions: bool = False,
        cache_size: int = 65_536,
    ) -> None:
        self.secret = secret
        self.erasure_epoch, self.has_suppressions = erasure_epoch, has_suppressions
        self.stream_of: Callable[[Identifier], bytes] = lru_cache(maxsize=cache_size)(
            lambda identifier: stream_id(secret, identifier)
        )
        self._cached_routing = lru_cache(maxsize=cache_size)(self._route)
        self._system = system_stream(secret)
        self._digest = message_digests(secret)

    def prepare(self, messages: Sequence[Message]) -> list[PreparedMessage]:
        """Returns one prepared message for each message, in order."""
        salts = new_salts(len(messages))
        return [
            self._prepare_one(message, salts[offset : offset + SALT_BYTES])
            for message, offset in zip(
                messages, range(0, len(messages) * SALT_BYTES, SALT_BYTES), strict=True
            )
        ]

    def prepare_again_if_stale(
        self, entries: Sequence[PreparedMessage]
    ) -> Sequence[PreparedMessage]:
        """Returns the entries, prepared again if any is of an earlier erasure epoch.

        The links that such an entry left out as durable may have been erased since.
        """
        if all(entry.erasure_epoch == self.erasure_epoch for entry in entries):
            return entries
        return self.prepare([entry.message for entry in entries])

    def _prepare_one(self, message: Message, salt: bytes) -> PreparedMessage:
        digest = self._digest(message.message_id)
        identifier_routing, stream, known_links = self._cached_routing(message.identifiers)
        _, event, pairs = route_message(message, uuid_from_bytes(digest), identifier_routing)
        row = _event_row(stream, event.TOPIC.encode(), encode_state(event), salt)
        links = _links_to_record(message, known_links, digest) if pairs else ()
        stream_links = self._stream_links(event) if message.absorbs or message.apart_from else ()
        return PreparedMessage(
            digest, message.fingerprint, row, links, message, stream_links, self.erasure_epoch
        )

    def _route(self, identifiers: tuple[Identifier, ...]) -> _CachedRouting:
        routing = route_identifiers(identifiers)
        stream = self._system if routing.subject is None else self.stream_of(routing.subject)
        return _CachedRouting(routing, stream, tuple(map(self._identifier_link, routing.links)))

    def _identifier_link(self, pair: IdentifierPair) -> IdentifierLink:
        owner = strongest(pair)
        assert owner is not None
        streams = self.stream_of(pair.left), self.stream_of(pair.right)
        return IdentifierLink(pair, link_digest(self.secret, *pair), self.stream_of(owner), streams)

    def _stream_links(self, event: MessageEvent) -> tuple[tuple[bytes, bytes], ...]:
        streams_of_facts = (
            [self.stream_of(identifier) for identifier in identifiers_in(fact)]
            for fact in facts_from_event(event)
        )
        return tuple((first, other) for first, *others in streams_of_facts for other in others)


def mark_links_durable(links: Iterable[PreparedLink]) -> None:
    """Marks links as durable, so that later messages do not send them again."""
    for link, occurred_at, _ in links:
        link.durable_since = min(link.durable_since, occurred_at)


def _links_to_record(
    message: Message, links: Iterable[IdentifierLink], digest: bytes
) -> tuple[PreparedLink, ...]:
    new: tuple[PreparedLink, ...] = ()
    for link in links:  # nearly always one link, and durable: the comparison is all that it costs
        if message.occurred_at < link.durable_since:
            new = (*new, _prepared_link(message, link, digest))
    return new


def _prepared_link(message: Message, link: IdentifierLink, shown_by: bytes) -> PreparedLink:
    occurred_us = to_micros(message.occurred_at).to_bytes(8, signed=True)
    event = IdentifiersLinked(
        id=uuid_from_bytes(blake2b(link.digest + occurred_us, digest_size=16).digest()),
        left=link.identifiers.left,
        right=link.identifiers.right,
        occurred_at=message.occurred_at,
        received_at=message.received_at,
        shown_by=uuid_from_bytes(shown_by),
    )
    row = event_row(link.stream, event)
    return PreparedLink(link, message.occurred_at, row)


def event_row(stream: bytes, event: Event) -> EventRow:
    """Returns the row of an event in a stream, with a new salt."""
    return _event_row(stream, event.TOPIC.encode(), encode_state(event), new_salts(1))


def _event_row(stream: bytes, topic: bytes, state: bytes, salt: bytes) -> EventRow:
    return EventRow(stream, topic, state, salt, commitment_of(salt, state))
