"""What an action asks for, and what is made of it with the context filled in."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from application.deliveries.templates import TemplateFailed, TemplateRenderer
from application.ledger.tables.leases import LeasedDelivery

MAX_BODY_BYTES = 262_144
"""Bytes of a webhook's body."""


class WebhookTemplate(msgspec.Struct):
    """A request to an endpoint."""

    endpoint: str
    body: Raw = Raw(b"")
    """A text is one template; JSON has templates in its texts.  Left out: what set it off, as JSON."""

    headers: dict[str, str] = {}


class SendEventTemplate(msgspec.Struct):
    """An event of the same person."""

    name: str
    properties: Raw = Raw(b"{}")


class SetAttributeTemplate(msgspec.Struct):
    """A word on the person."""

    name: str
    value: Raw


class TagTemplate(msgspec.Struct):
    """A tag of the person's."""

    tag: str


class ActionTemplate(msgspec.Struct):
    """One of these."""

    webhook: WebhookTemplate | UnsetType = UNSET
    send_event: SendEventTemplate | UnsetType = UNSET
    set_attribute: SetAttributeTemplate | UnsetType = UNSET
    add_tag: TagTemplate | UnsetType = UNSET
    remove_tag: TagTemplate | UnsetType = UNSET


class WebhookRequest(NamedTuple):
    """What is sent to an endpoint."""

    body: bytes
    headers: dict[str, str]


class LedgerCommand(NamedTuple):
    """What is recorded of the person."""

    kind: str
    """``track`` or ``identify``."""

    name: str
    document: bytes
    """JSON: properties, or traits."""


class InvalidAction(TemplateFailed):
    """An action cannot be read: it would fail again."""

    code = "invalid_action"


_decode_action = msgspec.json.Decoder(ActionTemplate).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_context = msgspec.json.Decoder(dict[str, Raw]).decode


def render_action(
    delivery: LeasedDelivery, templates: TemplateRenderer
) -> WebhookRequest | LedgerCommand:
    """Return what is to be sent, or recorded.  Raises TemplateFailed, Invalid among them."""
    try:
        action = _decode_action(delivery.action)
        if action.webhook is not UNSET:
            return _webhook_request(delivery, action.webhook, templates)
        return _ledger_command(delivery, action, templates)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidAction(f"the action cannot be read: {error}") from None


def rule_depth(delivery: LeasedDelivery) -> int:
    """Return how many rules, one after the other, led to this."""
    try:
        depth = msgspec.json.decode(delivery.context, type=_RuleDepth).depth
    except msgspec.DecodeError:
        return 0
    return max(depth, 0)


class _RuleDepth(msgspec.Struct):
    depth: int = 0


def _webhook_request(
    delivery: LeasedDelivery, template: WebhookTemplate, templates: TemplateRenderer
) -> WebhookRequest:
    raw_body = bytes(template.body)
    texts, document = dict(template.headers), b""
    if raw_body.startswith(b'"'):
        texts[""] = _decode_text(raw_body)
    else:
        document = raw_body
    rendered, document = templates.render(texts, document, delivery.context)
    texts = dict(rendered)
    body = texts.pop("").encode() if "" in texts else document or _default_body(delivery)
    if len(body) > MAX_BODY_BYTES:
        raise InvalidAction(
            f"a body has at most {MAX_BODY_BYTES:,} bytes, and this one {len(body):,}"
        )
    for name, value in texts.items():
        if not (_is_token(name) and value.isascii() and value.isprintable()):
            raise InvalidAction(f"the header {name[:100]!r}, or its value, can be no header's")
    return WebhookRequest(body, texts)


def _default_body(delivery: LeasedDelivery) -> bytes:
    """Return the body of a webhook that has none of its own: what set it off, as it came."""
    data = {
        name: value for name, value in _decode_context(delivery.context).items() if name != "depth"
    }
    kind, _, name = delivery.rule.rpartition(":")
    return msgspec.json.encode(
        {
            "type": "stream.event" if kind else "rule.fired",
            "timestamp": delivery.created_at,
            kind or "rule": name,
            "version": delivery.version,
            "data": data,
        }
    )


def _ledger_command(
    delivery: LeasedDelivery, action: ActionTemplate, templates: TemplateRenderer
) -> LedgerCommand:
    context = delivery.context
    if action.send_event is not UNSET:
        template = action.send_event
        texts, document = templates.render(
            {"name": template.name}, bytes(template.properties), context
        )
        return LedgerCommand("track", texts["name"], document)
    if action.set_attribute is not UNSET:
        attribute = msgspec.json.encode({action.set_attribute.name: action.set_attribute.value})
        return LedgerCommand("identify", "identify", templates.render({}, attribute, context)[1])
    for name, tag in (("Tag Added", action.add_tag), ("Tag Removed", action.remove_tag)):
        if tag is not UNSET:
            texts, _ = templates.render({"tag": tag.tag}, b"", context)
            return LedgerCommand("track", name, msgspec.json.encode(texts))
    raise InvalidAction(
        "the action has none of webhook, send_event, set_attribute, add_tag, remove_tag"
    )


def _is_token(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
