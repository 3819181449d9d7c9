"""Renders a delivery's action: a webhook request or a ledger command."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Raw

from application.deliveries.templates import TemplateFailed, TemplateRenderer
from application.ledger.tables.leases import LeasedDelivery
from domain.core.errors import InvalidRequest
from domain.rules.actions import decode_action
from domain.rules.actions.action import RenderedAction, WebhookRequest

MAX_BODY_BYTES = 262_144
"""Maximum size of a webhook's body, in bytes."""


class InvalidAction(TemplateFailed):
    """An action is not valid: it would fail again."""

    code = "invalid_action"


_decode_context = msgspec.json.Decoder(dict[str, Raw]).decode


def render_action(delivery: LeasedDelivery, templates: TemplateRenderer) -> RenderedAction:
    """Returns the rendered action.  Raises TemplateFailed, or its subclass InvalidAction."""
    render_templates = partial(templates.render, context=delivery.context)
    try:
        return decode_action(delivery.action).render(render_templates)
    except (InvalidRequest, msgspec.DecodeError, UnicodeError) as error:
        raise InvalidAction(f"the action is not valid: {error}") from None


def webhook_body(delivery: LeasedDelivery, request: WebhookRequest) -> bytes:
    """Returns the body of a webhook.  Raises InvalidAction if it is too large."""
    body = _default_body(delivery) if request.body is None else request.body
    if len(body) > MAX_BODY_BYTES:
        raise InvalidAction(f"the body has {len(body):,} bytes; the maximum is {MAX_BODY_BYTES:,}")
    return body


def rule_depth(delivery: LeasedDelivery) -> int:
    """Returns how many rules, each triggered by the one before, led to this delivery."""
    try:
        depth = msgspec.json.decode(delivery.context, type=_RuleDepth).depth
    except msgspec.DecodeError:
        return 0
    return max(depth, 0)


class _RuleDepth(msgspec.Struct):
    depth: int = 0


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
