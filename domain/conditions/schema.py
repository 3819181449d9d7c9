"""The JSON schema of conditions, derived from their classes.

`FIELD_CONSTRAINTS` and `OBJECT_CONSTRAINTS` add what the classes check beyond the types of their
fields, as far as a schema can express it.  It cannot express that a path, a time or a pattern is valid,
that bounds are in order, how deep groups are nested, and that a `where` takes no relative time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from domain.conditions.base import Condition
from domain.conditions.event_names import MAX_PATTERN_LENGTH
from domain.conditions.sequences import MAX_STEPS
from domain.conditions.values import OPPOSITES
from domain.conditions.windows import MAX_COUNT

EXAMPLES: tuple[Mapping[str, Any], ...] = (
    {"event": "page_view", "count": {"at_least": 5}, "within": {"last": "30d"}},
    {
        "event": {"matching": "Order*|*Test"},
        "where": [{"path": "properties.total", "op": "gt", "value": 100}],
    },
    {"event": "session_started", "occurrence": "last", "older_than": "45d"},
    {
        "event": "order",
        "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 500},
        "within": {"last": "90d"},
    },
    {
        "sequence": [{"event": "search"}, {"event": "select"}],
        "within": "1h",
        "without": [{"event": "checkout"}],
    },
    {
        "computed": {"fn": "last", "event": "order", "path": "properties.shop"},
        "op": "eq",
        "value": "Split",
    },
    {"computed": "orders_30d", "op": "gte", "value": 3},
    {"score": [{"when": {"tag": "vip"}, "points": 10}], "op": "gte", "value": 10},
    {
        "all": [
            {"attribute": "plan", "op": "eq", "value": "pro"},
            {"none": [{"segment": "churned"}]},
        ]
    },
)

_NULL = {"type": "null"}
_DURATION = {"type": "string", "pattern": "^[1-9][0-9]{0,8}[smhd]$"}
_OPTIONAL_DURATION = {"anyOf": [_DURATION, _NULL]}
_TEXT = {"type": "string"}
_ORDERED = {"type": ["number", "string"]}
_PAIRS = [
    {"type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2}
    for kind in ("number", "string")
]
_RELATIVE_TIME = {
    "type": "object",
    "properties": {"ago": _DURATION},
    "required": ["ago"],
    "additionalProperties": False,
}
_TIMES = ("before", "after", "on")
_VALUES: Mapping[str, Any] = {
    **dict.fromkeys(("gt", "gte", "lt", "lte"), _ORDERED),
    "between": {"anyOf": _PAIRS},
    "in": {"type": "array"},
    "contains": {"type": ["number", "string", "boolean"]},
    **dict.fromkeys(("starts_with", "ends_with"), _TEXT),
}


def _requires(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": _NULL}}}


def _exactly_one(names: Iterable[str]) -> dict[str, Any]:
    return {"oneOf": [_requires(name) for name in names]}


def _operand_rules(operators: Iterable[str], time: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the schema of the value for each operator."""
    rules = []
    for op in operators:
        if op in {"exists", "not_exists"}:
            rule: dict[str, Any] = {"not": {"required": ["value"]}}
        else:
            operand = time if op in _TIMES else _VALUES.get(OPPOSITES.get(op, op), True)
            rule = {"required": ["value"], "properties": {"value": operand}}
        rules.append({"if": {"properties": {"op": {"const": op}}}, "then": rule})
    return rules


_INSTANT = {"type": ["string", "number"]}
_COUNT = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_COUNT}, _NULL]}
_STEPS = {"maxItems": MAX_STEPS}
_NUMBER_OPERAND = {
    "if": {"properties": {"op": {"const": "between"}}},
    "then": {"properties": {"value": _PAIRS[0]}},
    "else": {"properties": {"value": {"type": "number"}}},
}

FIELD_CONSTRAINTS: Mapping[str, Mapping[str, Any]] = {
    "EventNamePattern": {"matching": {"minLength": 1, "maxLength": MAX_PATTERN_LENGTH}},
    "TimeWindow": {"last": _OPTIONAL_DURATION},
    "OccurrenceCondition": dict.fromkeys(("older_than", "newer_than"), _OPTIONAL_DURATION),
    "SequenceCondition": {
        "sequence": {"minItems": 2} | _STEPS,
        "without": _STEPS,
        "within": _OPTIONAL_DURATION,
    },
    "CountBounds": dict.fromkeys(("at_least", "at_most", "exactly"), _COUNT),
}
"""Constraints on single members, by the name of the class."""

OBJECT_CONSTRAINTS: Mapping[str, Mapping[str, Any]] = {
    "TimeWindow": {
        "oneOf": [
            _requires("last") | {"not": {"anyOf": [_requires("from"), _requires("to")]}},
            {"anyOf": [_requires("from"), _requires("to")], "not": _requires("last")},
        ]
    },
    "CountBounds": _exactly_one(("at_least", "at_most", "exactly", "between")),
    "OccurrenceCondition": _exactly_one(("older_than", "newer_than")),
    "AggregateSpec": _NUMBER_OPERAND,
    "ScoreCondition": _NUMBER_OPERAND,
    "ScoreReference": _NUMBER_OPERAND,
    "Computation": {
        "if": {"properties": {"fn": {"const": "count"}}},
        "then": {"not": _requires("path")},
        "else": _requires("path"),
    },
}
"""Constraints on how members combine, by the name of the class."""

_TIME_OPERANDS: Mapping[str, dict[str, Any]] = {
    "Comparison": _INSTANT,
    "AttributeCondition": {"anyOf": [_INSTANT, _RELATIVE_TIME]},
    "ComputedCondition": {"anyOf": [_INSTANT, _RELATIVE_TIME]},
    "ComputedReference": {"anyOf": [_INSTANT, _RELATIVE_TIME]},
}
"""What `before`, `after` and `on` take as a time, by the name of the class."""


def schema_components(
    kinds: Iterable[type[Condition]], ref: str = "#/$defs/{name}"
) -> dict[str, Any]:
    """Returns the schemas by name; `Condition` is any of the classes.

    ``ref`` is the template of references between them, such as that of OpenAPI.
    """
    kinds = tuple(kinds)
    _, schemas = msgspec.json.schema_components([*kinds, Condition], ref_template=ref)
    for name, members in FIELD_CONSTRAINTS.items():
        for member, constraint in members.items():
            schemas[name]["properties"][member] |= constraint
    for name, constraint in OBJECT_CONSTRAINTS.items():
        schemas[name] |= constraint
    for name, time in _TIME_OPERANDS.items():
        operators = schemas[name]["properties"]["op"]["enum"]
        schemas[name]["allOf"] = _operand_rules(operators, time)
    schemas["Condition"] = {
        "title": "Condition",
        "description": "A predicate on a profile at an instant.",
        "anyOf": [{"$ref": ref.format(name=kind.__name__)} for kind in kinds],
        "examples": list(EXAMPLES),
    }
    return schemas


def schema_document(kinds: Iterable[type[Condition]]) -> dict[str, Any]:
    """Returns the schema of a condition as a self-contained document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": "#/$defs/Condition",
        "$defs": schema_components(kinds),
    }
