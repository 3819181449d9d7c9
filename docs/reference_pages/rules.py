"""The page about rules: triggers, actions, options, and examples that the reader accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docs.reference_pages import markdown, structs
from docs.reference_pages.json_schema import type_text
from docs.reference_pages.markdown import code, slug, table
from domain.rules import schema
from domain.rules.actions import ACTIONS, MAX_ACTIONS
from domain.rules.definition import RULE_FIELDS, parse_definition
from domain.rules.triggers import TRIGGERS

TRIGGER_EXAMPLES: tuple[Mapping[str, Any], ...] = (
    {"event": "Order Completed"},
    {"event": {"matching": "Order *"}},
    {"system_event": "Price Dropped"},
    {"entered": "big-spenders"},
    {"left": "big-spenders"},
    {"attribute_changed": "plan"},
    {"profile": "created"},
)
EXAMPLES: tuple[Mapping[str, Any], ...] = (
    {"trigger": {"event": "Order Completed"}, "actions": [{"add_tag": {"tag": "buyer"}}]},
    {
        "trigger": {"event": "added_to_cart"},
        "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        "wait": {
            "event": "Order Completed",
            "match": "properties.cart_id",
            "timeout": "24h",
            "else": [{"send_event": {"name": "cart_abandoned"}}],
        },
        "reentry": "not_while_waiting",
        "cap": {"times": 1, "per": "7d"},
    },
    {
        "trigger": {"system_event": "Price Dropped"},
        "audience": {
            "attribute": "favourite_item",
            "op": "eq",
            "value": {"$field": "properties.item_id"},
        },
        "delay": "15m",
        "reentry": {"once_per": "7d"},
        "actions": [{"webhook": {"endpoint": "crm"}}],
    },
)

_INTRODUCTION = """\
# Rules

A rule is a JSON document: one trigger, options, and what is done. It is created with `POST /v1/rules`, tried on the past with
`POST /v1/rules/dry-run`, and acts from the position at which it is enabled. `GET /v1/schemas/rule` answers the JSON schema that this page is
made from. The examples on this page are read by the real reader when the page is made.
"""


def page() -> str:
    """Return the page."""
    document = schema.document()
    schemas = document["$defs"]
    _check_examples()
    return markdown.page(
        _INTRODUCTION,
        table(
            ("member", "type", "default"),
            (
                (
                    code(name),
                    type_text(document["properties"][name], _link),
                    "required"
                    if name in document["required"]
                    else code(markdown.json_text(document["properties"][name].get("default"))),
                )
                for name in RULE_FIELDS
            ),
        ),
        structs.examples([*EXAMPLES]),
        "## Triggers",
        *(
            structs.section(
                kind.__name__,
                schemas[kind.__name__],
                _link,
                structs.examples([each for each in TRIGGER_EXAMPLES if kind.KEY in each]),
                heading=f"### {_heading(kind)}",
            )
            for kind in TRIGGERS
        ),
        "## Actions",
        f"A rule has at most {MAX_ACTIONS} actions, and so has each branch of a `wait`. Texts of a webhook's body and headers and of"
        " `send_event` are Liquid templates over `event`, `customer` and `client`.",
        *(
            structs.section(
                kind.__name__,
                schemas[kind.__name__],
                _link,
                structs.examples([{kind.KEY: fields} for fields in kind.EXAMPLES]),
                heading=f"### {_heading(kind)}",
            )
            for kind in ACTIONS
        ),
        "## Parts of rules",
        *(
            structs.section(name, described, _link, heading=f"### {name}")
            for name, described in schemas.items()
            if name not in {kind.__name__ for kind in (*TRIGGERS, *ACTIONS)} | {"Actions"}
        ),
    )


def _link(name: str) -> str:
    if name == "Actions":
        return "list of [actions](#actions)"
    if name == "Audience":
        return "[condition](conditions.md)"
    kind = next((each for each in (*TRIGGERS, *ACTIONS) if each.__name__ == name), None)
    return f"[{name}](#{slug(name if kind is None else _heading(kind))})"


def _heading(kind: Any) -> str:
    return f"`{kind.KEY}`: {kind.__name__}"


def _check_examples() -> None:
    for example in EXAMPLES:
        parse_definition(example)
    for trigger in TRIGGER_EXAMPLES:
        parse_definition(
            {"trigger": trigger, "audience": {"all": []}, "actions": [{"add_tag": {"tag": "t"}}]}
        )
    missing = [it.KEY for it in TRIGGERS if not any(it.KEY in each for each in TRIGGER_EXAMPLES)]
    if missing:
        raise ValueError(f"add an example to {__name__} for {', '.join(missing)}")
