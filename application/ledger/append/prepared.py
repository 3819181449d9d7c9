"""What a flush carries: messages made ready to be written, and what could not be accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID, SafeUUID

import msgspec

from application.ledger.append.evidence import SALT_BYTES, commitment, salts
from application.ledger.mapper import state_of
from domain.core.identifiers import (
    Identifier,
    link_digest,
    message_digests,
    stream_id,
    strongest,
    system_stream,
)
from domain.events.events import Event, IdentifiersLinked, MessageEvent
from domain.events.message import Message
from domain.identity.resolution import facts_of, named
from domain.identity.routing import Concern, Link, concern, decide

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Row(msgspec.Struct, frozen=True, gc=False):
    """An event that only lacks its version, position and time of recording."""

    stream: bytes
    topic: bytes
    state: bytes
    salt: bytes
    commitment: bytes


class Pair(msgspec.Struct, gc=False):
    """A link that messages show, and since when the ledger is known to have it."""

    link: Link
    digest: bytes
    stream: bytes
    """In which it is recorded: that of the stronger identifier."""

    joins: tuple[bytes, bytes]
    since: datetime = datetime.max.replace(tzinfo=UTC)


class LinkEntry(NamedTuple):
    """A link that a message shows; recorded only if it is new, or earlier than known."""

    pair: Pair
    occurred_at: datetime
    row: Row


class _People(NamedTuple):
    """What the identifiers of a message say, however many messages have them."""

    concern: Concern
    stream: bytes
    pairs: tuple[Pair, ...]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message, ready to be written."""

    digest: bytes
    content: int
    row: Row
    links: tuple[LinkEntry, ...]
    message: Message
    joins: tuple[tuple[bytes, bytes], ...] = ()
    """Pairs of streams that the message itself says something about: of an alias, merge or unmerge."""

    erasures: int = 0
    """How many erasures were known of when links that are known already were left out."""

    def rejected(self, code: str, why: str) -> Rejection:
        """Return the message as one that could not be accepted after all."""
        message = self.message
        return Rejection(
            code=code,
            message=why,
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


def microseconds(instant: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC."""
    return (instant - _EPOCH) // _MICROSECOND


class Outdated(Exception):
    """Somebody was erased or suppressed that the flush knows nothing of; it was not written."""

    def __init__(self, erasures: int) -> None:
        super().__init__(f"the workspace is at erasure {erasures}")
        self.erasures = erasures


class Preparation:
    """Makes entries of one workspace's messages, and remembers which links are known already.

    Good for as long as nobody is erased, suppressed or freed: then another takes its place, which
    remembers nothing.  ``erasures`` counts those times; ``suppresses`` says whether anybody is ignored.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        erasures: int = 0,
        suppresses: bool = False,
        remembered: int = 65_536,
    ) -> None:
        self.secret = secret
        self.erasures, self.suppresses = erasures, suppresses
        self.stream_of: Callable[[Identifier], bytes] = lru_cache(maxsize=remembered)(
            lambda identifier: stream_id(secret, identifier)
        )
        self._people = lru_cache(maxsize=remembered)(self._met)
        self._system = system_stream(secret)
        self._digest = message_digests(secret)

    def entries(self, messages: Sequence[Message]) -> list[Entry]:
        """Return one entry a message, in order."""
        salt = salts(len(messages))
        return [
            self._entry(message, salt[at : at + SALT_BYTES])
            for message, at in zip(
                messages, range(0, len(messages) * SALT_BYTES, SALT_BYTES), strict=True
            )
        ]

    def renewed(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return the entries with all links that may have been erased since they were made."""
        if all(entry.erasures == self.erasures for entry in entries):
            return entries
        return self.entries([entry.message for entry in entries])

    def _entry(self, message: Message, salt: bytes) -> Entry:
        digest = self._digest(message.message_id)
        concern, stream, pairs = self._people(message.identifiers)
        _, event, links = decide(message, _uuid(digest), concern)
        row = _row(stream, event.TOPIC.encode(), state_of(event), salt)
        shown = _shown(message, pairs, digest) if links else ()
        joins = self._joins(event) if message.absorbs or message.apart_from else ()
        return Entry(digest, message.content, row, shown, message, joins, self.erasures)

    def _met(self, identifiers: tuple[Identifier, ...]) -> _People:
        about = concern(identifiers)
        stream = self._system if about.subject is None else self.stream_of(about.subject)
        return _People(about, stream, tuple(map(self._pair, about.links)))

    def _pair(self, link: Link) -> Pair:
        owner = strongest(link)
        assert owner is not None
        streams = self.stream_of(link.left), self.stream_of(link.right)
        return Pair(link, link_digest(self.secret, *link), self.stream_of(owner), streams)

    def _joins(self, event: MessageEvent) -> tuple[tuple[bytes, bytes], ...]:
        whose = ([self.stream_of(it) for it in named(fact)] for fact in facts_of(event))
        return tuple((first, other) for first, *others in whose for other in others)


def known_from_now_on(links: Iterable[LinkEntry]) -> None:
    """Remember links that are durable, so that they are not sent again with every message."""
    for pair, occurred_at, _ in links:
        pair.since = min(pair.since, occurred_at)


def _shown(message: Message, pairs: Iterable[Pair], digest: bytes) -> tuple[LinkEntry, ...]:
    shown: tuple[LinkEntry, ...] = ()
    for pair in pairs:  # nearly always the one, and known: no more than this for it
        if message.occurred_at < pair.since:
            shown = (*shown, _link(message, pair, digest))
    return shown


def _link(message: Message, pair: Pair, shown_by: bytes) -> LinkEntry:
    at = microseconds(message.occurred_at).to_bytes(8, signed=True)
    event = IdentifiersLinked(
        id=UUID(bytes=blake2b(pair.digest + at, digest_size=16).digest()),
        left=pair.link.left,
        right=pair.link.right,
        occurred_at=message.occurred_at,
        received_at=message.received_at,
        shown_by=UUID(bytes=shown_by),
    )
    row = row_of(pair.stream, event)
    return LinkEntry(pair, message.occurred_at, row)


def row_of(stream: bytes, event: Event) -> Row:
    """Return an event of that stream, ready to be written."""
    return _row(stream, event.TOPIC.encode(), state_of(event), salts(1))


def _row(stream: bytes, topic: bytes, state: bytes, salt: bytes) -> Row:
    return Row(stream, topic, state, salt, commitment(salt, state))


_set_int, _set_safety = vars(UUID)["int"].__set__, vars(UUID)["is_safe"].__set__
_UNKNOWN = SafeUUID.unknown


def _uuid(value: bytes) -> UUID:
    """Return ``UUID(bytes=value)``, without its checks: they cost thrice what it does (measured)."""
    made = object.__new__(UUID)
    _set_int(made, int.from_bytes(value))
    _set_safety(made, _UNKNOWN)
    return made
