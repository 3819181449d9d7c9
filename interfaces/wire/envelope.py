"""A batch: the messages in it, byte for byte, and what is said once for all of them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Raw

from interfaces.wire import json_scan
from interfaces.wire.base import InvalidBody, InvalidMessage
from interfaces.wire.message_fields import decode_scalar, decode_text

Fields = dict[str, Raw]
"""Members of an object, their values as written."""

Shared = dict[str, Fields]
"""The objects of a batch that hold for each of its messages, by name."""


class Envelope(NamedTuple):
    """A batch, taken apart."""

    items: list[bytes]
    sent_at: str | None
    write_key: str | None
    shared: Shared
    """What is merged into each message; empty for nearly all clients."""


class _Batch(msgspec.Struct, rename="camel"):
    batch: list[Raw]
    context: Raw = Raw(b"")
    integrations: Raw = Raw(b"")
    sent_at: Raw = Raw(b"")
    write_key: Raw = Raw(b"")


_decode = msgspec.json.Decoder(_Batch).decode
_decode_fields = msgspec.json.Decoder(Fields).decode


def read_envelope(body: bytes) -> Envelope:
    """Take a batch apart.

    A message that is not JSON by itself, as long as its quotes and brackets match, is handed on as
    it is and costs its neighbours nothing.  Raises BadBody if the body around the messages is not
    an object with a list ``batch``.
    """
    try:
        found = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _read_leniently(body)
    return Envelope(
        [bytes(it) for it in found.batch],
        decode_scalar(found.sent_at),
        decode_text(found.write_key),
        _shared_objects(context=bytes(found.context), integrations=bytes(found.integrations)),
    )


def object_members(body: bytes) -> list[json_scan.MemberSpan]:
    """Return the members of a body that is one object; what they hold may be anything.

    Raises BadBody if it is no object, or if its quotes and brackets do not match.
    """
    if body.startswith(b"\xef\xbb\xbf"):
        raise InvalidBody("invalid_json", "JSON has no byte order mark")
    if body.lstrip(json_scan.WHITESPACE)[:1] != b"{":
        raise InvalidBody("not_an_object", "the body must be a JSON object")
    try:
        return json_scan.members(body)
    except json_scan.MalformedJson as error:
        raise _invalid_json(error) from None


def merge_shared(raw: bytes, shared: Shared) -> bytes:
    """Return a message with what its batch says for all; what it says itself wins, key by key.

    Everything that is kept is kept as written.  Returns ``raw`` itself if nothing is added.
    """
    fields = _decode_object(raw)
    changed = False
    for name, ours in shared.items():
        own = bytes(fields.get(name, b"null"))
        theirs: Fields = {}
        if own.startswith(b"{"):
            theirs = _decode_object(own)
        elif own != b"null":
            continue
        if not theirs.keys() >= ours.keys():
            fields[name] = Raw(msgspec.json.encode(ours | theirs))
            changed = True
    return msgspec.json.encode(fields) if changed else raw


def _read_leniently(body: bytes) -> Envelope:
    found = {_unescape_key(it.key): it for it in object_members(body)}
    batch = found.get("batch")
    if batch is None or body[batch.start : batch.start + 1] != b"[":
        raise InvalidBody("missing_batch", "the body needs a list of messages: batch")
    try:
        spans = json_scan.element_spans(body, batch.start, batch.end)
    except json_scan.MalformedJson as error:
        raise _invalid_json(error) from None
    # With a 0 for each message, what is left must be JSON, by the same reader as any other batch.
    zeros = b",".join(b"0" if start < end else b"" for start, end in spans)
    around = body[: batch.start] + b"[" + zeros + b"]" + body[batch.end :]
    try:
        _decode(json_scan.lone_surrogates_as_nul(around))
    except msgspec.DecodeError as error:
        raise _invalid_json(error) from None
    except RecursionError:
        raise InvalidBody("too_deep", "the body is nested too deep") from None

    def value(name: str) -> bytes:
        return body[found[name].start : found[name].end] if name in found else b""

    return Envelope(
        [body[start:end] for start, end in spans],
        decode_scalar(value("sentAt")),
        decode_text(value("writeKey")),
        _shared_objects(context=value("context"), integrations=value("integrations")),
    )


def _invalid_json(error: Exception) -> InvalidBody:
    return InvalidBody("invalid_json", f"the body is not JSON: {error}")


def _shared_objects(**values: bytes) -> Shared:
    """Keep what is an object and has members; it must be fit to be part of every message."""
    fit: Shared = {}
    for name, value in values.items():
        if value.startswith(b"{"):
            try:
                json_scan.check_shape(value)
            except InvalidMessage as refused:
                raise InvalidBody(refused.code, f"{name} of the batch: {refused}") from None
            fields = _decode_object(value)
            if fields:
                fit[name] = fields
    return fit


def _decode_object(data: bytes) -> Fields:
    try:
        return _decode_fields(data)
    except msgspec.DecodeError:  # half a surrogate pair, somewhere: the only thing let through
        return {
            _unescape_key(key): Raw(data[start:end]) for key, start, end in json_scan.members(data)
        }


def _unescape_key(key: bytes) -> str:
    readable = json_scan.lone_surrogates_as_nul(b'"%b"' % key)
    return decode_text(readable) or key.decode(errors="replace")
