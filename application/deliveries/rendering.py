"""Renders a delivery's action: a webhook request or a ledger command."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from application.deliveries.templates import TemplateFailed, TemplateRenderer
from application.ledger.tables.leases import LeasedDelivery

MAX_BODY_BYTES = 262_144
"""Maximum size of a webhook's body, in bytes."""


class WebhookTemplate(msgspec.Struct):
    """Action `webhook`: a request to an endpoint."""

    endpoint: str
    body: Raw = Raw(b"")
    """JSON.  A string is one template; other JSON may have templates in its strings.

    Without it, the body is the trigger's context as JSON.
    """

    headers: dict[str, str] = {}


class SendEventTemplate(msgspec.Struct):
    """Action `send_event`: an event of the same profile."""

    name: str
    properties: Raw = Raw(b"{}")


class SetAttributeTemplate(msgspec.Struct):
    """Action `set_attribute`: an attribute of the profile."""

    name: str
    value: Raw


class TagTemplate(msgspec.Struct):
    """Actions `add_tag` and `remove_tag`: a tag of the profile."""

    tag: str


class ActionTemplate(msgspec.Struct):
    """An action: exactly one of the fields is set."""

    webhook: WebhookTemplate | UnsetType = UNSET
    send_event: SendEventTemplate | UnsetType = UNSET
    set_attribute: SetAttributeTemplate | UnsetType = UNSET
    add_tag: TagTemplate | UnsetType = UNSET
    remove_tag: TagTemplate | UnsetType = UNSET


class WebhookRequest(NamedTuple):
    """A rendered webhook."""

    body: bytes
    headers: dict[str, str]


class LedgerCommand(NamedTuple):
    """A rendered message about the profile, to be recorded in the ledger."""

    kind: str
    """``track`` or ``identify``."""

    name: str
    document: bytes
    """JSON: the properties of a `track`, or the traits of an `identify`."""


class InvalidAction(TemplateFailed):
    """An action is not valid: it would fail again."""

    code = "invalid_action"


_decode_action = msgspec.json.Decoder(ActionTemplate).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_context = msgspec.json.Decoder(dict[str, Raw]).decode


def render_action(
    delivery: LeasedDelivery, templates: TemplateRenderer
) -> WebhookRequest | LedgerCommand:
    """Returns the rendered action.  Raises TemplateFailed, or its subclass InvalidAction."""
    try:
        action = _decode_action(delivery.action)
        if action.webhook is not UNSET:
            return _webhook_request(delivery, action.webhook, templates)
        return _ledger_command(delivery, action, templates)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidAction(f"the action is not valid: {error}") from None


def rule_depth(delivery: LeasedDelivery) -> int:
    """Returns how many rules, each triggered by the one before, led to this delivery."""
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
        raise InvalidAction(f"the body has {len(body):,} bytes; the maximum is {MAX_BODY_BYTES:,}")
    for name, value in texts.items():
        if not (_is_token(name) and value.isascii() and value.isprintable()):
            raise InvalidAction(
                f"invalid header {name[:100]!r}: names are ASCII letters, digits, - and _, values printable ASCII"
            )
    return WebhookRequest(body, texts)


def _default_body(delivery: LeasedDelivery) -> bytes:
    """Returns the body of a webhook without a body template: the trigger's context."""
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
        "the action needs one of webhook, send_event, set_attribute, add_tag, remove_tag"
    )


def _is_token(name: str) -> bool:
    return bool(name) and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
