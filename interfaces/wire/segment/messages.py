"""One message in Segment's layout."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, NoReturn

from domain.core.identifiers import Identifier, normalise
from domain.events.message import Message, MessageKind
from interfaces.wire import json_scan
from interfaces.wire.base import (
    InvalidMessage,
    ParseRejection,
    WireLimits,
    content_fingerprint,
    fingerprint_text,
    is_valid_identifier,
    normalise_event_name,
)
from interfaces.wire.envelope import Shared, merge_shared
from interfaces.wire.message_fields import (
    MessageFields,
    decode_message_fields,
    email_of_traits,
)
from interfaces.wire.times import correct_clock_skew, parse_time

KINDS: dict[str | None, MessageKind] = {
    "track": "track",
    "page": "page",
    "screen": "screen",
    "identify": "identify",
    "group": "group",
    "alias": "alias",
}
"""Kinds of messages by their ``type``."""

_EVENT_NAMES = {
    "page": "page_view",
    "screen": "screen_view",
    "identify": "identify",
    "group": "group",
    "alias": "alias",
}
"""Event names of the calls other than track; the name and category in the message are properties."""


class MessageIdentifiers(NamedTuple):
    """Identifiers of a message's profile, and those that an alias message merges into it."""

    identifiers: tuple[Identifier, ...]
    absorbs: tuple[Identifier, ...]
    fingerprint: str
    """All identifiers as text, for the message's fingerprint."""


class MessageReader:
    """Reads the messages of one request or file, one by one.

    ``live``: the messages come directly from a client, so that the difference of ``sentAt`` and ``received_at``
    is the skew of its clock.
    """

    def __init__(
        self,
        *,
        received_at: datetime,
        limits: WireLimits,
        default_id: Callable[[], str],
        sent_at: str | None = None,
        shared: Shared | None = None,
        source: str = "segment",
        live: bool = True,
    ) -> None:
        self.received_at = received_at
        self.max_bytes = limits.message_bytes
        self.default_id = default_id
        self.shared = shared
        self.source = source
        self.live = live
        self._batch_sent_at = sent_at
        self._sent_at_text: str | None = None
        self._sent_at: datetime | None = None

    def read(
        self, raw: bytes, index: int, kind: MessageKind | None = None
    ) -> Message | ParseRejection:
        """Return the parsed message, or its rejection.

        ``kind`` comes from the path, if the path defines it; otherwise the message's ``type`` decides.
        """
        message_id = None
        try:
            if len(raw) > self.max_bytes:
                self._raise_too_large()
            json_scan.check_shape(raw)
            item = decode_message_fields(raw)
            message_id = _message_id(item)
            kind = kind or KINDS.get(item.type) or _parse_kind(item.type)
            name = normalise_event_name(item.event) if kind == "track" else _EVENT_NAMES[kind]
            ids = _message_identifiers(item, kind)
        except InvalidMessage as error:
            return ParseRejection(
                index=index,
                code=error.code,
                message=str(error),
                raw=raw,
                message_id=message_id,
            )
        occurred_at = self._occurred_at(item)
        group = item.group_id.encode() if item.group_id else b""
        content = (item.properties, item.traits, item.name, item.category, group)
        payload = merge_shared(raw, self.shared) if self.shared else raw
        return Message(
            kind=kind,
            name=name,
            message_id=message_id or self.default_id(),
            identifiers=ids.identifiers,
            absorbs=ids.absorbs,
            occurred_at=occurred_at,
            sent_at=self._sent_at,
            received_at=self.received_at,
            source=self.source,
            payload=payload,
            raw=b"" if payload is raw else raw,
            fingerprint=content_fingerprint(kind, name, ids.fingerprint, content),
        )

    def _occurred_at(self, item: MessageFields) -> datetime:
        sent = item.sent_at or self._batch_sent_at
        if sent != self._sent_at_text:  # mostly the same in all messages of a batch
            self._sent_at_text, self._sent_at = sent, parse_time(sent)
        first, second = item.original_timestamp, item.timestamp
        if not self.live:
            first, second = second, first
        original = (first and parse_time(first)) or (second and parse_time(second))
        if not original:
            return self.received_at
        return correct_clock_skew(self.received_at, self._sent_at if self.live else None, original)

    def _raise_too_large(self) -> NoReturn:
        raise InvalidMessage("message_too_large", f"the message exceeds {self.max_bytes} bytes")


def _message_id(item: MessageFields) -> str | None:
    """Return the client's id; a blank id, which would make messages duplicates, counts as none."""
    message_id = item.message_id
    if not message_id or message_id.isspace():
        return None
    if not is_valid_identifier(message_id):
        raise InvalidMessage(
            "invalid_message_id", "a messageId has at most 1024 bytes and no control characters"
        )
    return message_id


def _parse_kind(text: str | None) -> MessageKind:
    kind = KINDS.get((text or "").strip().lower())
    if kind is None:
        raise InvalidMessage("unknown_type", f"type must be one of {', '.join(KINDS.values())}")
    return kind


def _message_identifiers(item: MessageFields, kind: MessageKind) -> MessageIdentifiers:
    ids = _cached_identifiers(item.user_id, item.anonymous_id)
    if kind == "alias":
        return _alias_identifiers(item)
    if kind == "group" and _parse_identifier("group_id", item.group_id) is None:
        raise InvalidMessage("missing_group_id", "a group message needs a groupId")
    if ids.identifiers:
        return ids
    email = _parse_identifier("email", email_of_traits(item.traits)) if kind == "identify" else None
    if email is None or not email.value.strip():
        raise InvalidMessage("no_user_anon_id", "a message needs a userId or an anonymousId")
    return _make_identifiers(normalise(*email))


@lru_cache(maxsize=65_536)  # the same profiles send many messages
def _cached_identifiers(user_id: str | None, anonymous_id: str | None) -> MessageIdentifiers:
    return _make_identifiers(
        _parse_identifier("user_id", user_id), _parse_identifier("anonymous_id", anonymous_id)
    )


def _make_identifiers(
    *candidates: Identifier | None, absorbs: tuple[Identifier, ...] = ()
) -> MessageIdentifiers:
    identifiers = tuple(identifier for identifier in candidates if identifier is not None)
    return MessageIdentifiers(identifiers, absorbs, fingerprint_text(identifiers + absorbs))


def _alias_identifiers(item: MessageFields) -> MessageIdentifiers:
    user = _parse_identifier("user_id", item.user_id)
    anonymous = _parse_identifier("anonymous_id", item.anonymous_id)
    previous = _parse_identifier("user_id", item.previous_id)
    if user is None or previous is None:
        raise InvalidMessage(
            "missing_previous_id", "an alias message needs a previousId and a userId"
        )
    # Either id may be a user id or an anonymous id: the message does not tell, and SDKs differ in their order.
    anonymous_ids = (Identifier("anonymous_id", alias.value) for alias in (previous, user))
    absorbs = () if previous == user else (previous, *anonymous_ids)
    if anonymous is not None and anonymous.value == previous.value:
        anonymous = None
    return _make_identifiers(user, anonymous, absorbs=absorbs)


def _parse_identifier(kind: str, value: str | None) -> Identifier | None:
    """Return the identifier, or None for an empty value, which SDKs send for absent ones."""
    if not value:
        return None
    if not is_valid_identifier(value):
        raise InvalidMessage(
            "invalid_id",
            f"{kind} must be a string of at most 1024 bytes without control characters",
        )
    return Identifier(kind, value)
