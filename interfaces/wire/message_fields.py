"""What is read of one message in Segment's layout; all the rest stays in its payload."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from interfaces.wire import json_scan
from interfaces.wire.base import InvalidMessage

INVALID_SCALAR = "\0"
"""Stands for a value of a type that can be neither an id nor a time; it is refused as either."""


class MessageFields(msgspec.Struct, rename="camel", gc=False):
    """The fields that decide what a message is; ``null`` and absent are the same."""

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
    """The same fields, before anything is said about their types."""

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
    """Return the fields of one message whose shape has been checked.

    Raises Refused if it is not JSON or not an object.  A number where a text belongs is taken as
    written for ids and times; for the name and type it counts as absent.
    """
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return _read_leniently(raw)


def decode_scalar(raw: Raw | bytes) -> str | None:
    """Return a JSON text, a number as it is written, None for null; anything else is UNUSABLE."""
    value = bytes(raw)
    first = value[:1]
    if first == b'"':
        return decode_text(value)
    if first in (b"", b"n"):
        return None
    return INVALID_SCALAR if first in b"tf{[" else value.decode()


def email_of_traits(traits: Raw) -> str | None:
    """Return the e-mail address among the traits, if there is one."""
    try:
        return _decode_email(traits).email if bytes(traits) else None
    except msgspec.DecodeError:
        return None


def write_key_in(raw: bytes) -> str | None:
    """Return the key that a message carries, even one that is refused for something else."""
    try:
        return _decode_write_key(raw).write_key
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        keys = [it for it in json_scan.members(raw) if it.key == b"writeKey"]
    except json_scan.MalformedJson:
        return None
    return decode_text(raw[keys[-1].start : keys[-1].end]) if keys else None


def decode_text(raw: Raw | bytes) -> str | None:
    """Return a JSON text, None for anything else."""
    try:
        return _decode_text(raw)
    except msgspec.DecodeError:
        return None


def _decode_message_id(raw: Raw) -> str | None:
    """Return an id that may be a number: a retry has the same one, so it must be recognised."""
    return None if bytes(raw)[:1] in (b"t", b"f", b"{", b"[") else decode_scalar(raw)


def _read_leniently(raw: bytes) -> MessageFields:
    readable = json_scan.lone_surrogates_as_nul(raw)
    try:
        found = _decode_slices(readable)
    except msgspec.ValidationError:
        raise InvalidMessage("not_an_object", "a message is a JSON object") from None
    except msgspec.DecodeError as error:
        raise InvalidMessage("invalid_json", str(error)) from None
    return MessageFields(
        type=decode_text(found.type),
        event=decode_text(found.event),
        user_id=decode_scalar(found.user_id),
        anonymous_id=decode_scalar(found.anonymous_id),
        previous_id=decode_scalar(found.previous_id),
        group_id=decode_scalar(found.group_id),
        message_id=_decode_message_id(found.message_id),
        timestamp=decode_scalar(found.timestamp),
        original_timestamp=decode_scalar(found.original_timestamp),
        sent_at=decode_scalar(found.sent_at),
        properties=found.properties,
        traits=found.traits,
        name=found.name,
        category=found.category,
    )
