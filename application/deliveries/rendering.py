"""What an action asks for, and what is made of it with the context filled in."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from application.deliveries.templates import TemplateFailed, Templates
from application.ledger.tables.leases import Leased

LONGEST_BODY = 262_144
"""Bytes of a webhook's body."""


class Webhook(msgspec.Struct):
    """A request to an endpoint."""

    endpoint: str
    body: Raw = Raw(b"")
    """A text is one template; JSON has templates in its texts.  Left out: what set it off, as JSON."""

    headers: dict[str, str] = {}


class SendEvent(msgspec.Struct):
    """An event of the same person."""

    name: str
    properties: Raw = Raw(b"{}")


class SetAttribute(msgspec.Struct):
    """A word on the person."""

    name: str
    value: Raw


class Tag(msgspec.Struct):
    """A tag of the person's."""

    tag: str


class Action(msgspec.Struct):
    """One of these."""

    webhook: Webhook | UnsetType = UNSET
    send_event: SendEvent | UnsetType = UNSET
    set_attribute: SetAttribute | UnsetType = UNSET
    add_tag: Tag | UnsetType = UNSET
    remove_tag: Tag | UnsetType = UNSET


class Letter(NamedTuple):
    """What is sent to an endpoint."""

    body: bytes
    headers: dict[str, str]


class Said(NamedTuple):
    """What is recorded of the person."""

    kind: str
    """``track`` or ``identify``."""

    name: str
    document: bytes
    """JSON: properties, or traits."""


class Invalid(TemplateFailed):
    """An action cannot be read: it would fail again."""

    code = "invalid_action"


_action = msgspec.json.Decoder(Action).decode
_text = msgspec.json.Decoder(str).decode
_context = msgspec.json.Decoder(dict[str, Raw]).decode


def filled(delivery: Leased, templates: Templates) -> Letter | Said:
    """Return what is to be sent, or recorded.  Raises TemplateFailed, Invalid among them."""
    try:
        action = _action(delivery.action)
        if action.webhook is not UNSET:
            return _letter(delivery, action.webhook, templates)
        return _said(delivery, action, templates)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Invalid(f"the action cannot be read: {error}") from None


def depth_of(delivery: Leased) -> int:
    """Return how many rules, one after the other, led to this."""
    try:
        depth = msgspec.json.decode(delivery.context, type=_Depth).depth
    except msgspec.DecodeError:
        return 0
    return max(depth, 0)


class _Depth(msgspec.Struct):
    depth: int = 0


def _letter(delivery: Leased, wanted: Webhook, templates: Templates) -> Letter:
    written = bytes(wanted.body)
    texts, document = dict(wanted.headers), b""
    if written.startswith(b'"'):
        texts[""] = _text(written)
    else:
        document = written
    done, document = templates.render(texts, document, delivery.context)
    texts = dict(done)
    body = texts.pop("").encode() if "" in texts else document or _default(delivery)
    if len(body) > LONGEST_BODY:
        raise Invalid(f"a body has at most {LONGEST_BODY:,} bytes, and this one {len(body):,}")
    for name, value in texts.items():
        if not (_is_token(name) and value.isascii() and value.isprintable()):
            raise Invalid(f"the header {name[:100]!r}, or its value, can be no header's")
    return Letter(body, texts)


def _default(delivery: Leased) -> bytes:
    """Return the body of a webhook that has none of its own: what set it off, as it came."""
    said = {name: value for name, value in _context(delivery.context).items() if name != "depth"}
    kind, _, name = delivery.rule.rpartition(":")
    return msgspec.json.encode(
        {
            "type": "stream.event" if kind else "rule.fired",
            "timestamp": delivery.created_at,
            kind or "rule": name,
            "version": delivery.version,
            "data": said,
        }
    )


def _said(delivery: Leased, action: Action, templates: Templates) -> Said:
    context = delivery.context
    if action.send_event is not UNSET:
        wanted = action.send_event
        texts, document = templates.render({"name": wanted.name}, bytes(wanted.properties), context)
        return Said("track", texts["name"], document)
    if action.set_attribute is not UNSET:
        attribute = msgspec.json.encode({action.set_attribute.name: action.set_attribute.value})
        return Said("identify", "identify", templates.render({}, attribute, context)[1])
    for name, tag in (("Tag Added", action.add_tag), ("Tag Removed", action.remove_tag)):
        if tag is not UNSET:
            texts, _ = templates.render({"tag": tag.tag}, b"", context)
            return Said("track", name, msgspec.json.encode(texts))
    raise Invalid("the action has none of webhook, send_event, set_attribute, add_tag, remove_tag")


def _is_token(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
