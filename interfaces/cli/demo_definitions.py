"""Definitions of the demo: segments, a score, a saved funnel and two enabled rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from interfaces.service import Service

ACTOR = "foldline demo"

COMPUTED_ATTRIBUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "orders_30d": (
        "Orders in 30 days",
        {
            "computed": {"fn": "count", "event": "order_completed", "within": {"last": "30d"}},
        },
    ),
    "engagement": (
        "Engagement",
        {
            "score": [
                {"when": {"event": "product_viewed", "within": {"last": "7d"}}, "points": 5},
                {"when": {"event": "link_clicked", "within": {"last": "30d"}}, "points": 10},
                {"when": {"computed": "orders_30d", "op": "gte", "value": 1}, "points": 20},
                {"when": {"tag": "vip"}, "points": 15},
            ]
        },
    ),
}
"""Name and computation by id."""

SEGMENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "big-spenders": (
        "Big spenders",
        {
            "event": "order_completed",
            "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 1000},
            "within": {"last": "30d"},
        },
    ),
    "monitor-shoppers": (
        "Looks at monitors, has not bought one",
        {
            "all": [
                {
                    "event": "product_viewed",
                    "count": {"at_least": 2},
                    "within": {"last": "14d"},
                    "where": [{"path": "properties.category", "op": "eq", "value": "monitor"}],
                },
                {
                    "event": "order_completed",
                    "count": {"exactly": 0},
                    "where": [{"path": "properties.items[].type", "op": "eq", "value": "monitor"}],
                },
            ]
        },
    ),
    "engaged": (
        "Engaged",
        {
            "all": [
                {"score": "engagement", "op": "gte", "value": 25},
                {
                    "any": [
                        {"attribute": "plan", "op": "in", "value": ["plus", "pro"]},
                        {"tag": "vip"},
                    ]
                },
            ]
        },
    ),
}
"""Name and condition by id."""

FUNNELS: dict[str, tuple[str, dict[str, Any]]] = {
    "checkout": (
        "Checkout",
        {
            "steps": [
                {"event": "product_viewed"},
                {"event": "added_to_cart"},
                {"event": "order_completed"},
            ],
            "window": "7d",
        },
    ),
}
"""Name and funnel by id."""

RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "welcome-big-spender": (
        "Tag a profile that becomes a big spender",
        {
            "trigger": {"entered": "big-spenders"},
            "actions": [{"add_tag": {"tag": "big-spender"}}],
            "reentry": "once",
        },
    ),
    "left-in-the-cart": (
        "Left in the cart",
        {
            "trigger": {"event": "added_to_cart"},
            "wait": {
                "event": "order_completed",
                "timeout": "2h",
                "else": [{"send_event": {"name": "cart_abandoned"}}],
            },
            "reentry": "not_while_waiting",
            "cap": {"times": 1, "per": "7d"},
        },
    ),
}
"""Name and definition by id."""


def define_all(service: Service, workspace: int) -> None:
    """Define everything in a workspace and enable the rules; unchanged definitions add nothing."""
    from application.automation.rules import RuleService
    from application.definitions.computed_attributes import ComputedAttributeService
    from application.definitions.saved_funnels import SavedFunnelService
    from application.definitions.segments import SegmentService
    from application.definitions.store import CommandContext
    from domain.definitions.definition import DefinitionVersion

    context, encode = CommandContext(ACTOR, "sample data"), msgspec.json.encode
    attributes = ComputedAttributeService(service.ledger)
    for id_, (name, computation) in COMPUTED_ATTRIBUTES.items():
        attribute = DefinitionVersion(name, "", encode(computation))
        attributes.define(workspace, id_, attribute, context)
    segments = SegmentService(service.ledger)
    for id_, (name, condition) in SEGMENTS.items():
        segment = DefinitionVersion(name, document=encode(condition))
        segments.define(workspace, id_, segment, context)
    funnels = SavedFunnelService(service.ledger)
    for id_, (name, funnel) in FUNNELS.items():
        funnels.define(workspace, id_, DefinitionVersion(name, "", encode(funnel)), context)
    rules = RuleService(service.ledger)
    for id_, (name, definition) in RULES.items():
        rules.define(workspace, id_, DefinitionVersion(name, document=encode(definition)), context)
        rules.set_enabled(workspace, id_, context, enabled=True)
