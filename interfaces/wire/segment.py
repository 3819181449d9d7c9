"""Segment's dialect, which Customer.io Data Pipelines and RudderStack speak too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial
from types import MappingProxyType
from typing import NamedTuple, NoReturn

from domain.core.identifiers import Identifier, normalise
from domain.events.message import Message, MessageKind
from interfaces.wire import json_scan
from interfaces.wire.base import (
    BadBody,
    Format,
    Limits,
    Parse,
    Parsed,
    Refused,
    Rejected,
    content_fingerprint,
    event_name,
    is_identifier,
    told,
)
from interfaces.wire.envelope import Shared, merged, object_members, read_envelope
from interfaces.wire.item import Item, email_in, read_item, write_key_in
from interfaces.wire.times import corrected, parse_time

_KINDS: dict[str | None, MessageKind] = {
    "track": "track",
    "page": "page",
    "screen": "screen",
    "identify": "identify",
    "group": "group",
    "alias": "alias",
}
_NAMES = {
    "page": "page_view",
    "screen": "screen_view",
    "identify": "identify",
    "group": "group",
    "alias": "alias",
}
"""How calls without a name of their own are named; their own name and category are properties."""


class People(NamedTuple):
    """Whom a message is about, and whom they absorb."""

    identifiers: tuple[Identifier, ...]
    absorbs: tuple[Identifier, ...]
    told: str
    """All of them, as the message's fingerprint wants it."""


class Reading:
    """One request (or file) while its messages are read, one by one.

    ``live`` says that the messages come straight from a client, so that ``sentAt`` against
    ``received_at`` shows how wrong its clock is.
    """

    def __init__(
        self,
        *,
        received_at: datetime,
        limits: Limits,
        default_id: Callable[[], str],
        sent_at: str | None = None,
        shared: Shared | None = None,
        source: str = "segment",
        live: bool = True,
    ) -> None:
        self.received_at = received_at
        self.most = limits.message_bytes
        self.default_id = default_id
        self.shared = shared
        self.source = source
        self.live = live
        self._batch_sent = sent_at
        self._sent_text: str | None = None
        self._sent: datetime | None = None

    def read(self, raw: bytes, index: int, kind: MessageKind | None = None) -> Message | Rejected:
        """Return what one message says, or why it cannot be accepted.

        ``kind`` is that of the path, if the path says it; otherwise the message's ``type`` does.
        """
        message_id = None
        try:
            if len(raw) > self.most:
                self._refuse_as_too_large()
            json_scan.check_shape(raw)
            item = read_item(raw)
            message_id = _message_id(item)
            kind = kind or _KINDS.get(item.type) or _kind(item.type)
            name = event_name(item.event) if kind == "track" else _NAMES[kind]
            people = _people(item, kind)
        except Refused as refused:
            return Rejected(
                index=index,
                code=refused.code,
                message=str(refused),
                raw=raw,
                message_id=message_id,
            )
        occurred_at = self._occurred_at(item)
        group = item.group_id.encode() if item.group_id else b""
        said = (item.properties, item.traits, item.name, item.category, group)
        payload = merged(raw, self.shared) if self.shared else raw
        return Message(
            kind=kind,
            name=name,
            message_id=message_id or self.default_id(),
            identifiers=people.identifiers,
            absorbs=people.absorbs,
            occurred_at=occurred_at,
            sent_at=self._sent,
            received_at=self.received_at,
            source=self.source,
            payload=payload,
            raw=b"" if payload is raw else raw,
            content=content_fingerprint(kind, name, people.told, said),
        )

    def _occurred_at(self, item: Item) -> datetime:
        sent = item.sent_at or self._batch_sent
        if sent != self._sent_text:  # the messages of a batch mostly carry the same one
            self._sent_text, self._sent = sent, parse_time(sent)
        first, second = item.original_timestamp, item.timestamp
        if not self.live:
            first, second = second, first
        original = (first and parse_time(first)) or (second and parse_time(second))
        if not original:
            return self.received_at
        return corrected(self.received_at, self._sent if self.live else None, original)

    def _refuse_as_too_large(self) -> NoReturn:
        raise Refused("message_too_large", f"a message has at most {self.most} bytes")


def parse_batch(
    body: bytes, *, received_at: datetime, limits: Limits, default_id: Callable[[], str]
) -> Parsed:
    """Read the body of ``/v1/batch``.

    Each message stands for itself: a bad one is rejected and its neighbours are accepted.  Raises
    BadBody if there is no list of messages in it.
    """
    envelope = read_envelope(body)
    reading = Reading(
        received_at=received_at,
        limits=limits,
        default_id=default_id,
        sent_at=envelope.sent_at,
        shared=envelope.shared,
    )
    items, most = envelope.items, limits.batch_messages
    if len(items) > 4 * most:  # no SDK does this, and each of them would be kept as a rejection
        raise BadBody("too_many_messages", f"a batch has at most {most} messages")
    messages: list[Message] = []
    rejections: list[Rejected] = []
    for index, raw in enumerate(items[:most]):
        outcome = reading.read(raw, index)
        if isinstance(outcome, Message):
            messages.append(outcome)
        else:
            rejections.append(outcome)
    rejections += [
        Rejected(
            index=index,
            code="too_many_messages",
            message=f"a batch has at most {most} messages",
            raw=raw,
        )
        for index, raw in enumerate(items[most:], most)
    ]
    write_key = envelope.write_key or (write_key_in(items[0]) if items else None)
    return Parsed(messages=messages, rejections=rejections, write_key=write_key)


def parse_single(
    body: bytes,
    kind: MessageKind,
    *,
    received_at: datetime,
    limits: Limits,
    default_id: Callable[[], str],
) -> Parsed:
    """Read the body of ``/v1/track`` and the like, which is one message of the path's kind.

    Raises BadBody if it is not an object; what an object may be refused for is a rejection.
    """
    reading = Reading(received_at=received_at, limits=limits, default_id=default_id)
    outcome = reading.read(body, 0, kind)
    write_key = write_key_in(body)
    if isinstance(outcome, Message):
        return Parsed(messages=[outcome], rejections=[], write_key=write_key, single=True)
    object_members(body)
    return Parsed(messages=[], rejections=[outcome], write_key=write_key, single=True)


def _message_id(item: Item) -> str | None:
    """Return the client's id; a blank one would make one message of many, so it counts as none."""
    message_id = item.message_id
    if not message_id or message_id.isspace():
        return None
    if not is_identifier(message_id):
        raise Refused(
            "invalid_message_id", "a messageId has at most 1024 bytes and no control characters"
        )
    return message_id


def _kind(text: str | None) -> MessageKind:
    kind = _KINDS.get((text or "").strip().lower())
    if kind is None:
        raise Refused("unknown_type", f"type must be one of {', '.join(_KINDS.values())}")
    return kind


def _people(item: Item, kind: MessageKind) -> People:
    people = _named(item.user_id, item.anonymous_id)
    if kind == "alias":
        return _aliased(item)
    if kind == "group" and _identifier("group_id", item.group_id) is None:
        raise Refused("missing_group_id", "a group message needs a groupId")
    if people.identifiers:
        return people
    email = _identifier("email", email_in(item.traits)) if kind == "identify" else None
    if email is None or not email.value.strip():
        raise Refused("no_user_anon_id", "a message needs a userId or an anonymousId")
    return _told(normalise(*email))


@lru_cache(maxsize=65_536)  # the same people come again and again
def _named(user_id: str | None, anonymous_id: str | None) -> People:
    return _told(_identifier("user_id", user_id), _identifier("anonymous_id", anonymous_id))


def _told(*names: Identifier | None, absorbs: tuple[Identifier, ...] = ()) -> People:
    identifiers = tuple(it for it in names if it is not None)
    return People(identifiers, absorbs, told(identifiers + absorbs))


def _aliased(item: Item) -> People:
    user = _identifier("user_id", item.user_id)
    anonymous = _identifier("anonymous_id", item.anonymous_id)
    previous = _identifier("user_id", item.previous_id)
    if user is None or previous is None:
        raise Refused("missing_previous_id", "an alias message needs a previousId and a userId")
    # Either id is a user's or a visitor's: the wire does not say, and SDKs disagree on which is first.
    visitors = (Identifier("anonymous_id", it.value) for it in (previous, user))
    absorbs = () if previous == user else (previous, *visitors)
    if anonymous is not None and anonymous.value == previous.value:
        anonymous = None
    return _told(user, anonymous, absorbs=absorbs)


def _identifier(kind: str, value: str | None) -> Identifier | None:
    """Return the identifier, or None for what SDKs send to say that there is none."""
    if not value:
        return None
    if not is_identifier(value):
        raise Refused(
            "invalid_id", f"{kind} must be a text of at most 1024 bytes, no control characters"
        )
    return Identifier(kind, value)


def _single(kind: MessageKind) -> Parse:
    return partial(parse_single, kind=kind)


FORMAT = Format(
    name="segment",
    summary="Segment's HTTP tracking API; also Customer.io Data Pipelines and RudderStack",
    routes=MappingProxyType(
        {f"/v1/{kind}": _single(kind) for kind in _KINDS.values()}
        | {f"/v1/{kind[0]}": _single(kind) for kind in _KINDS.values()}
        | dict.fromkeys(("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch"), parse_batch)
    ),
)
