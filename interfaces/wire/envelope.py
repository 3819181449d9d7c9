"""Batch envelopes: splits a batch into the bytes of its messages and their shared fields."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Raw

from interfaces.wire import json_scan
from interfaces.wire.base import InvalidBody, InvalidMessage
from interfaces.wire.message_fields import decode_scalar, decode_text

Fields = dict[str, Raw]
"""Members of an object, with their values as written."""

Shared = dict[str, Fields]
"""Objects of a batch that apply to each of its messages, by name."""


class Envelope(NamedTuple):
    """Parts of a batch."""

    items: list[bytes]
    sent_at: str | None
    write_key: str | None
    shared: Shared
    """Objects merged into each message; empty for nearly all clients."""


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[Raw]
    context: Raw = Raw(b"")
    integrations: Raw = Raw(b"")
    sent_at: Raw = Raw(b"")
    write_key: Raw = Raw(b"")


_decode = msgspec.json.Decoder(_Batch).decode
_decode_fields = msgspec.json.Decoder(Fields).decode


def read_envelope(body: bytes) -> Envelope:
    """Split a batch into its messages and shared fields.

    A message that is invalid JSON is passed on unchanged if its quotes and brackets match, and does not affect the
    other messages.  Raises InvalidBody if the body is not an object with a list ``batch``.
    """
    try:
        envelope = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _read_leniently(body)
    return Envelope(
        [bytes(item) for item in envelope.batch],
        decode_scalar(envelope.sent_at),
        decode_text(envelope.write_key),
        _shared_objects(context=bytes(envelope.context), integrations=bytes(envelope.integrations)),
    )


def object_members(body: bytes) -> list[json_scan.MemberSpan]:
    """Return the members of a body that is one object; their values are not checked.

    Raises InvalidBody if it is not an object, or if its quotes and brackets do not match.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise InvalidBody("invalid_json", "the JSON starts with a byte order mark; remove it")
    if body.lstrip(json_scan.WHITESPACE)[:1] != b"{":
        raise InvalidBody("not_an_object", "the body must be a JSON object")
    try:
        return json_scan.members(body)
    except json_scan.MalformedJson as error:
        raise _invalid_json(error) from None


def merge_shared(raw: bytes, shared: Shared) -> bytes:
    """Merge the shared objects of a batch into a message; the message's own keys have priority.

    Values stay as written.  Returns ``raw`` itself if nothing is added.
    """
    fields = _decode_object(raw)
    changed = False
    for name, shared_members in shared.items():
        value = bytes(fields.get(name, b"null"))
        own_members: Fields = {}
        if value.startswith(b"{"):
            own_members = _decode_object(value)
        elif value != b"null":
            continue
        if not own_members.keys() >= shared_members.keys():
            fields[name] = Raw(msgspec.json.encode(shared_members | own_members))
            changed = True
    return msgspec.json.encode(fields) if changed else raw


def _read_leniently(body: bytes) -> Envelope:
    members = {_unescape_key(member.key): member for member in object_members(body)}
    batch = members.get("batch")
    if batch is None or body[batch.start : batch.start + 1] != b"[":
        raise InvalidBody("missing_batch", "the body needs a list `batch` of messages")
    try:
        spans = json_scan.element_spans(body, batch.start, batch.end)
    except json_scan.MalformedJson as error:
        raise _invalid_json(error) from None
    # With each message replaced by 0, the rest must be JSON for the same parser as any other batch.
    zeros = b",".join(b"0" if start < end else b"" for start, end in spans)
    around = body[: batch.start] + b"[" + zeros + b"]" + body[batch.end :]
    try:
        _decode(json_scan.lone_surrogates_as_nul(around))
    except msgspec.DecodeError as error:
        raise _invalid_json(error) from None
    except RecursionError:
        raise InvalidBody("too_deep", "the body is nested too deep") from None

    def value(name: str) -> bytes:
        return body[members[name].start : members[name].end] if name in members else b""

    return Envelope(
        [body[start:end] for start, end in spans],
        decode_scalar(value("sentAt")),
        decode_text(value("writeKey")),
        _shared_objects(context=value("context"), integrations=value("integrations")),
    )


def _invalid_json(error: Exception) -> InvalidBody:
    return InvalidBody("invalid_json", f"the body is not JSON: {error}")


def _shared_objects(**values: bytes) -> Shared:
    """Return the non-empty objects; raises InvalidBody if one exceeds the limits of a message."""
    shared: Shared = {}
    for name, value in values.items():
        if value.startswith(b"{"):
            try:
                json_scan.check_shape(value)
            except InvalidMessage as error:
                raise InvalidBody(error.code, f"{name} of the batch: {error}") from None
            fields = _decode_object(value)
            if fields:
                shared[name] = fields
    return shared


def _decode_object(data: bytes) -> Fields:
    try:
        return _decode_fields(data)
    except msgspec.DecodeError:  # a lone surrogate: the only invalid JSON that gets here
        return {
            _unescape_key(key): Raw(data[start:end]) for key, start, end in json_scan.members(data)
        }


def _unescape_key(key: bytes) -> str:
    readable = json_scan.lone_surrogates_as_nul(b'"%b"' % key)
    return decode_text(readable) or key.decode(errors="replace")
