"""What is read of one message in Segment's layout; all the rest stays in its payload."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from interfaces.wire import json_scan
from interfaces.wire.base import Refused

UNUSABLE = "\0"
"""Stands for a value of a type that can be neither an id nor a time; it is refused as either."""


class Item(msgspec.Struct, rename="camel", gc=False):
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


class _Slices(msgspec.Struct, rename="camel", gc=False):
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


class _WithEmail(msgspec.Struct, gc=False):
    email: str | None = None


class _WithWriteKey(msgspec.Struct, rename="camel", gc=False):
    write_key: str | None = None


_decode = msgspec.json.Decoder(Item).decode
_decode_slices = msgspec.json.Decoder(_Slices).decode
_decode_email = msgspec.json.Decoder(_WithEmail).decode
_decode_write_key = msgspec.json.Decoder(_WithWriteKey).decode
_decode_text = msgspec.json.Decoder(str).decode


def read_item(raw: bytes) -> Item:
    """Return the fields of one message whose shape has been checked.

    Raises Refused if it is not JSON or not an object.  A number where a text belongs is taken as
    written for ids and times; for the name and type it counts as absent.
    """
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return _read_with_care(raw)


def literal(raw: Raw | bytes) -> str | None:
    """Return a JSON text, a number as it is written, None for null; anything else is UNUSABLE."""
    value = bytes(raw)
    first = value[:1]
    if first == b'"':
        return text(value)
    if first in (b"", b"n"):
        return None
    return UNUSABLE if first in b"tf{[" else value.decode()


def email_in(traits: Raw) -> str | None:
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
    except json_scan.Malformed:
        return None
    return text(raw[keys[-1].start : keys[-1].end]) if keys else None


def text(raw: Raw | bytes) -> str | None:
    """Return a JSON text, None for anything else."""
    try:
        return _decode_text(raw)
    except msgspec.DecodeError:
        return None


def _text_or_number(raw: Raw) -> str | None:
    """Return an id that may be a number: a retry has the same one, so it must be recognised."""
    return None if bytes(raw)[:1] in (b"t", b"f", b"{", b"[") else literal(raw)


def _read_with_care(raw: bytes) -> Item:
    readable = json_scan.lone_surrogates_as_nul(raw)
    try:
        found = _decode_slices(readable)
    except msgspec.ValidationError:
        raise Refused("not_an_object", "a message is a JSON object") from None
    except msgspec.DecodeError as error:
        raise Refused("invalid_json", str(error)) from None
    return Item(
        type=text(found.type),
        event=text(found.event),
        user_id=literal(found.user_id),
        anonymous_id=literal(found.anonymous_id),
        previous_id=literal(found.previous_id),
        group_id=literal(found.group_id),
        message_id=_text_or_number(found.message_id),
        timestamp=literal(found.timestamp),
        original_timestamp=literal(found.original_timestamp),
        sent_at=literal(found.sent_at),
        properties=found.properties,
        traits=found.traits,
        name=found.name,
        category=found.category,
    )
