"""Parts of JSON schemas by which conditions narrow what the types of their fields say.

A class states its own in `SCHEMA`; its ``properties`` are added to those of its fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NULL = {"type": "null"}
DURATION = {"type": "string", "pattern": "^[1-9][0-9]{0,8}[smhd]$"}
OPTIONAL_DURATION = {"anyOf": [DURATION, NULL]}
INSTANT = {"type": ["string", "number"]}
INSTANT_OR_AGO = {
    "anyOf": [
        INSTANT,
        {
            "type": "object",
            "properties": {"ago": DURATION},
            "required": ["ago"],
            "additionalProperties": False,
        },
    ]
}
_PAIRS = [
    {"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}
    for kind in ("number", "string")
]
NUMBER_OPERAND = {
    "if": {"properties": {"op": {"const": "between"}}},
    "then": {"properties": {"value": _PAIRS[0]}},
    "else": {"properties": {"value": {"type": "number"}}},
}
_TIMES = ("before", "after", "on")
_TEXT = {"type": "string"}
_ORDERED = {"type": ["number", "string"]}
_SCALAR = {"type": ["number", "string", "boolean"]}
_LIST = {"type": "array"}
_OPERANDS: Mapping[str, Any] = {
    **dict.fromkeys(("gt", "gte", "lt", "lte"), _ORDERED),
    "between": {"anyOf": _PAIRS},
    **dict.fromkeys(("in", "not_in"), _LIST),
    **dict.fromkeys(("contains", "not_contains"), _SCALAR),
    **dict.fromkeys(("starts_with", "ends_with"), _TEXT),
}


def requires(name: str) -> dict[str, Any]:
    """Returns the schema of an object that has a member, and not null."""
    return {"required": [name], "properties": {name: {"not": NULL}}}


def exactly_one(*names: str) -> dict[str, Any]:
    """Returns the schema of an object that has exactly one of the members."""
    return {"oneOf": [requires(name) for name in names]}


def operand_rules(operators: Iterable[str], time: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the schema of an object with an operator and the value that it takes.

    ``time`` is the schema of what `before`, `after` and `on` take.
    """
    rules = []
    for op in sorted(operators):
        if op in {"exists", "not_exists"}:
            rule: dict[str, Any] = {"not": {"required": ["value"]}}
        else:
            operand = time if op in _TIMES else _OPERANDS.get(op, True)
            rule = {"required": ["value"], "properties": {"value": operand}}
        rules.append({"if": {"properties": {"op": {"const": op}}}, "then": rule})
    return {"allOf": rules}
