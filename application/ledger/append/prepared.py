"""What a flush carries: messages made ready to be written, and what could not be accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID, SafeUUID

import msgspec

from application.ledger.append.evidence import SALT_BYTES, commitment_of, new_salts
from application.ledger.mapper import encode_state
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
from domain.identity.resolution import facts_from_event, identifiers_in
from domain.identity.routing import (
    IdentifierPair,
    IdentifierRouting,
    route_identifiers,
    route_message,
)



class EventRow(msgspec.Struct, frozen=True, gc=False):
    """An event that only lacks its version, position and time of recording."""

    stream: bytes
    topic: bytes
    state: bytes
    salt: bytes
    commitment: bytes


class IdentifierLink(msgspec.Struct, gc=False):
    """A link that messages show, and since when the ledger is known to have it."""

    identifiers: IdentifierPair
    digest: bytes
    stream: bytes
    """In which it is recorded: that of the stronger identifier."""

    streams: tuple[bytes, bytes]
    durable_since: datetime = datetime.max.replace(tzinfo=UTC)


class PreparedLink(NamedTuple):
    """A link that a message shows; recorded only if it is new, or earlier than known."""

    link: IdentifierLink
    occurred_at: datetime
    row: EventRow


class _Routing(NamedTuple):
    """What the identifiers of a message say, however many messages have them."""

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
    """Pairs of streams that the message itself says something about: of an alias, merge or unmerge."""

    erasure_epoch: int = 0
    """How many erasures were known of when links that are known already were left out."""

    def as_rejection(self, code: str, reason: str) -> Rejection:
        """Return the message as one that could not be accepted after all."""
        message = self.message
        return Rejection(
            code=code,
            message=reason,
            raw=message.raw or message.payload,
            source=message.source,
            received_at=message.received_at,
            message_id=message.message_id,
        )


class Rejection(NamedTuple):
    """Something that could not be accepted, kept as it came with the reason."""

    code: str
    message: str
    raw: bytes
    source: str
    received_at: datetime
    message_id: str | None = None
    times: int = 1

    def digest(self, secret: bytes) -> bytes:
        """Return what the same refusal of the same bytes is recognised by."""
        text = b"\0".join((self.code.encode(), self.source.encode(), self.raw))
        return blake2b(text, digest_size=16, key=secret, person=b"rejected").digest()


class Receipt(NamedTuple):
    """What became of a request's messages.  Given only once they are durable."""

    position: int
    """The ledger's last position when they were in; read models that reached it show them."""

    recorded: int
    duplicates: int
    rejected: int
    suppressed: int = 0
    """Messages about people whose messages are ignored."""


class StaleErasureEpoch(Exception):
    """Somebody was erased or suppressed that the flush knows nothing of; it was not written."""

    def __init__(self, erasure_epoch: int) -> None:
        super().__init__(f"the workspace is at erasure {erasure_epoch}")
        self.erasure_epoch = erasure_epoch


class MessagePreparer:
    """Makes entries of one workspace's messages, and remembers which links are known already.

    Good for as long as nobody is erased, suppressed or freed: then another takes its place, which
    remembers nothing.  ``erasures`` counts those times; ``suppresses`` says whether anybody is ignored.
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
        """Return one entry a message, in order."""
        salt = new_salts(len(messages))
        return [
            self._prepare_one(message, salt[at : at + SALT_BYTES])
            for message, at in zip(
                messages, range(0, len(messages) * SALT_BYTES, SALT_BYTES), strict=True
            )
        ]

    def prepare_again_if_stale(
        self, entries: Sequence[PreparedMessage]
    ) -> Sequence[PreparedMessage]:
        """Return the entries with all links that may have been erased since they were made."""
        if all(entry.erasure_epoch == self.erasure_epoch for entry in entries):
            return entries
        return self.prepare([entry.message for entry in entries])

    def _prepare_one(self, message: Message, salt: bytes) -> PreparedMessage:
        digest = self._digest(message.message_id)
        concern, stream, pairs = self._cached_routing(message.identifiers)
        _, event, links = route_message(message, _uuid(digest), concern)
        row = _event_row(stream, event.TOPIC.encode(), encode_state(event), salt)
        shown = _links_to_record(message, pairs, digest) if links else ()
        joins = self._stream_links(event) if message.absorbs or message.apart_from else ()
        return PreparedMessage(
            digest, message.fingerprint, row, shown, message, joins, self.erasure_epoch
        )

    def _route(self, identifiers: tuple[Identifier, ...]) -> _Routing:
        about = route_identifiers(identifiers)
        stream = self._system if about.subject is None else self.stream_of(about.subject)
        return _Routing(about, stream, tuple(map(self._identifier_link, about.links)))

    def _identifier_link(self, link: IdentifierPair) -> IdentifierLink:
        owner = strongest(link)
        assert owner is not None
        streams = self.stream_of(link.left), self.stream_of(link.right)
        return IdentifierLink(link, link_digest(self.secret, *link), self.stream_of(owner), streams)

    def _stream_links(self, event: MessageEvent) -> tuple[tuple[bytes, bytes], ...]:
        whose = (
            [self.stream_of(it) for it in identifiers_in(fact)] for fact in facts_from_event(event)
        )
        return tuple((first, other) for first, *others in whose for other in others)


def mark_links_durable(links: Iterable[PreparedLink]) -> None:
    """Remember links that are durable, so that they are not sent again with every message."""
    for pair, occurred_at, _ in links:
        pair.durable_since = min(pair.durable_since, occurred_at)


def _links_to_record(
    message: Message, pairs: Iterable[IdentifierLink], digest: bytes
) -> tuple[PreparedLink, ...]:
    shown: tuple[PreparedLink, ...] = ()
    for pair in pairs:  # nearly always the one, and known: no more than this for it
        if message.occurred_at < pair.durable_since:
            shown = (*shown, _prepared_link(message, pair, digest))
    return shown


def _prepared_link(message: Message, pair: IdentifierLink, shown_by: bytes) -> PreparedLink:
    at = to_micros(message.occurred_at).to_bytes(8, signed=True)
    event = IdentifiersLinked(
        id=UUID(bytes=blake2b(pair.digest + at, digest_size=16).digest()),
        left=pair.identifiers.left,
        right=pair.identifiers.right,
        occurred_at=message.occurred_at,
        received_at=message.received_at,
        shown_by=UUID(bytes=shown_by),
    )
    row = event_row(pair.stream, event)
    return PreparedLink(pair, message.occurred_at, row)


def event_row(stream: bytes, event: Event) -> EventRow:
    """Return an event of that stream, ready to be written."""
    return _event_row(stream, event.TOPIC.encode(), encode_state(event), new_salts(1))


def _event_row(stream: bytes, topic: bytes, state: bytes, salt: bytes) -> EventRow:
    return EventRow(stream, topic, state, salt, commitment_of(salt, state))


_set_int, _set_safety = vars(UUID)["int"].__set__, vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def _uuid(value: bytes) -> UUID:
    """Return ``UUID(bytes=value)``, without its checks: they cost thrice what it does (measured)."""
    made = object.__new__(UUID)
    _set_int(made, int.from_bytes(value))
    _set_safety(made, _UNKNOWN)
    return made
