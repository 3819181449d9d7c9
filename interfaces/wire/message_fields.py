"""Fields read from a message in Segment's layout; the others stay in its payload."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from interfaces.wire import json_scan
from interfaces.wire.base import InvalidMessage

INVALID_SCALAR = "\0"
"""Placeholder for a value of a type that is neither an id nor a time; it is rejected as either."""


class MessageFields(msgspec.Struct, rename="camel", gc=False):
    """Fields that Foldline interprets; ``null`` and absent are equal."""

    type: str | None = None
    event: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    message_id: str | None = None
    timestamp: str | None = None
    original_timestamp: str | None = None
    sent_at: str | None = None
    properties: Raw = Raw(b"")
    traits: Raw = Raw(b"")
    name: Raw = Raw(b"")
    category: Raw = Raw(b"")


class _RawFields(msgspec.Struct, rename="camel", gc=False):
    """The same fields as JSON slices, before their types are checked."""

    type: Raw = Raw(b"")
    event: Raw = Raw(b"")
    user_id: Raw = Raw(b"")
    anonymous_id: Raw = Raw(b"")
    previous_id: Raw = Raw(b"")
    group_id: Raw = Raw(b"")
    message_id: Raw = Raw(b"")
    timestamp: Raw = Raw(b"")
    original_timestamp: Raw = Raw(b"")
    sent_at: Raw = Raw(b"")
    properties: Raw = Raw(b"")
    traits: Raw = Raw(b"")
    name: Raw = Raw(b"")
    category: Raw = Raw(b"")


class _EmailField(msgspec.Struct, gc=False):
    email: str | None = None


class _WriteKeyField(msgspec.Struct, rename="camel", gc=False):
    write_key: str | None = None


_decode = msgspec.json.Decoder(MessageFields).decode
_decode_slices = msgspec.json.Decoder(_RawFields).decode
_decode_email = msgspec.json.Decoder(_EmailField).decode
_decode_write_key = msgspec.json.Decoder(_WriteKeyField).decode
_decode_text = msgspec.json.Decoder(str).decode


def decode_message_fields(raw: bytes) -> MessageFields:
    """Return the fields of one message that ``check_shape`` has accepted.

    Raises InvalidMessage if it is not JSON or not an object.  A number instead of a string is used as written for ids
    and times; for the name and type it counts as absent.
    """
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return _read_leniently(raw)


def decode_scalar(raw: Raw | bytes) -> str | None:
    """Decode a string, a number as written, or None for null; otherwise INVALID_SCALAR."""
    value = bytes(raw)
    first = value[:1]
    if first == b'"':
        return decode_text(value)
    if first in (b"", b"n"):
        return None
    return INVALID_SCALAR if first in b"tf{[" else value.decode()


def email_of_traits(traits: Raw) -> str | None:
    """Return the e-mail address in the traits, if any."""
    try:
        return _decode_email(traits).email if bytes(traits) else None
    except msgspec.DecodeError:
        return None


def write_key_in(raw: bytes) -> str | None:
    """Return the write key in a message, even if the message is rejected for another reason."""
    try:
        return _decode_write_key(raw).write_key
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        keys = [member for member in json_scan.members(raw) if member.key == b"writeKey"]
    except json_scan.MalformedJson:
        return None
    return decode_text(raw[keys[-1].start : keys[-1].end]) if keys else None


def decode_text(raw: Raw | bytes) -> str | None:
    """Decode a JSON string; None for any other value."""
    try:
        return _decode_text(raw)
    except msgspec.DecodeError:
        return None


def _decode_message_id(raw: Raw) -> str | None:
    """Decode an id, which may be a number: a retry sends the same one, which must be recognised."""
    return None if bytes(raw)[:1] in (b"t", b"f", b"{", b"[") else decode_scalar(raw)


def _read_leniently(raw: bytes) -> MessageFields:
    readable = json_scan.lone_surrogates_as_nul(raw)
    try:
        fields = _decode_slices(readable)
    except msgspec.ValidationError:
        raise InvalidMessage("not_an_object", "a message must be a JSON object") from None
    except msgspec.DecodeError as error:
        raise InvalidMessage("invalid_json", str(error)) from None
    return MessageFields(
        type=decode_text(fields.type),
        event=decode_text(fields.event),
        user_id=decode_scalar(fields.user_id),
        anonymous_id=decode_scalar(fields.anonymous_id),
        previous_id=decode_scalar(fields.previous_id),
        group_id=decode_scalar(fields.group_id),
        message_id=_decode_message_id(fields.message_id),
        timestamp=decode_scalar(fields.timestamp),
        original_timestamp=decode_scalar(fields.original_timestamp),
        sent_at=decode_scalar(fields.sent_at),
        properties=fields.properties,
        traits=fields.traits,
        name=fields.name,
        category=fields.category,
    )
