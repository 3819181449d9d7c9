"""What a flush carries: messages made ready to be written, and what could not be accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID, SafeUUID

import msgspec

from application.ledger.evidence import SALT_BYTES, commitment, salts
from application.ledger.mapper import state_of
from domain.events import IdentifiersLinked, MessageEvent
from domain.identifiers import (
    Identifier,
    link_digest,
    message_digest,
    stream_id,
    strongest,
    system_stream,
)
from domain.identity import facts_of, joined
from domain.message import Message
from domain.profile import Link, decide

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LINKED = IdentifiersLinked.TOPIC.encode()


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event that only lacks its version, position and time of recording."""

    stream: bytes
    topic: bytes
    state: bytes
    salt: bytes
    commitment: bytes


class LinkEntry(NamedTuple):
    """A link that a message shows; recorded only if it is new, or earlier than known."""

    link: Link
    digest: bytes
    occurred_us: int
    row: Row
    streams: tuple[bytes, bytes]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message, ready to be written."""

    digest: bytes
    content: int
    row: Row
    links: tuple[LinkEntry, ...]
    message: Message
    joins: tuple[tuple[bytes, bytes], ...] = ()
    """Pairs of streams that the message itself says are one person: of an alias or merge."""


class Rejection(NamedTuple):
    """Something that could not be accepted, kept as it came with the reason."""

    code: str
    message: str
    raw: bytes
    source: str
    received_at: datetime
    message_id: str | None = None

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


def microseconds(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


class Preparation:
    """Makes entries of one workspace's messages, and remembers which links are known already."""

    def __init__(self, secret: bytes, *, remembered_links: int = 200_000) -> None:
        self.secret = secret
        self.stream_of: Callable[[Identifier], bytes] = lru_cache(maxsize=65_536)(
            lambda identifier: stream_id(secret, identifier)
        )
        self._system = system_stream(secret)
        self._known_links: dict[Link, int] = {}
        self._remembered_links = remembered_links

    def entries(self, messages: Sequence[Message]) -> list[Entry]:
        """Return one entry a message, in order."""
        salt = salts(len(messages))
        return [
            self._entry(message, salt[at : at + SALT_BYTES])
            for message, at in zip(
                messages, range(0, len(messages) * SALT_BYTES, SALT_BYTES), strict=True
            )
        ]

    def recorded(self, entries: Iterable[Entry]) -> None:
        """Remember the links of entries that are durable, so that repeats are not sent again."""
        if len(self._known_links) > self._remembered_links:
            self._known_links.clear()
        known = self._known_links
        for entry in entries:
            for link, _, at, *_ in entry.links:
                known[link] = min(at, known.get(link, at))

    def _entry(self, message: Message, salt: bytes) -> Entry:
        digest = message_digest(self.secret, message.message_id)
        subject, event, links = decide(message, _uuid(digest))
        stream = self._system if subject is None else self.stream_of(subject)
        row = _row(stream, event.TOPIC.encode(), state_of(event), salt)
        shown = tuple(self._links(message, links, digest)) if links else ()
        joins = self._joins(event) if message.absorbs else ()
        return Entry(digest, message.content, row, shown, message, joins)

    def _joins(self, event: MessageEvent) -> tuple[tuple[bytes, bytes], ...]:
        pairs = filter(None, map(joined, facts_of(event)))
        return tuple((self.stream_of(left), self.stream_of(right)) for left, right in pairs)

    def _links(
        self, message: Message, links: tuple[Link, ...], digest: bytes
    ) -> Iterable[LinkEntry]:
        at = microseconds(message.occurred_at)
        for link in links:
            if self._known_links.get(link, at + 1) <= at:
                continue
            pair = link_digest(self.secret, *link)
            event = IdentifiersLinked(
                id=UUID(bytes=blake2b(pair + at.to_bytes(8, signed=True), digest_size=16).digest()),
                left=link.left,
                right=link.right,
                occurred_at=message.occurred_at,
                received_at=message.received_at,
                shown_by=UUID(bytes=digest),
            )
            owner = strongest(link)
            assert owner is not None
            row = _row(self.stream_of(owner), _LINKED, state_of(event), salts(1))
            streams = self.stream_of(link.left), self.stream_of(link.right)
            yield LinkEntry(link, pair, at, row, streams)


def _row(stream: bytes, topic: bytes, state: bytes, salt: bytes) -> Row:
    return Row(stream, topic, state, salt, commitment(salt, state))


def _uuid(value: bytes) -> UUID:
    """Return ``UUID(bytes=value)``, without its checks: they cost twice what it does (measured)."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", int.from_bytes(value))
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made
