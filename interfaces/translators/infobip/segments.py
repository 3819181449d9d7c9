"""Translates Infobip segments (`/people/3/segments`: `query` and `events`) into conditions.

A relative time counts back from now: ``{"#lt": {"birthDate": {"#relNow": "P-1D"}}}`` means more than a day ago.
"""

from __future__ import annotations

import json
import re
from typing import Any

from domain import conditions
from domain.core.errors import InvalidRequest
from domain.core.time import parse_instant
from interfaces.translators.infobip.events import (
    PLAIN_NAME,
    Document,
    expect_list,
    expect_object,
    translate_event,
    validated,
)

_RELATIVE = re.compile(r"(?:P-(\d+)([DW])|PT-(\d+)([HM]))", re.ASCII)
_OPERATORS = {
    "#eq": "eq",
    "#ne": "ne",
    "#lt": "lt",
    "#lte": "lte",
    "#gt": "gt",
    "#gte": "gte",
    "#in": "in",
    "#notIn": "not_in",
    "#contains": "contains",
    "#notContain": "not_contains",
    "#startsWith": "starts_with",
    "#endsWith": "ends_with",
}
_EXISTENCE = {"#exists": "exists", "#exist": "exists", "#notExist": "not_exists"}
_EARLIEST = "0001-01-01T00:00:00Z"


def translate(document: Any) -> Document:
    """Translate an Infobip segment into a condition.

    Raises InvalidRequest with a JSON pointer and the expected value.
    """
    segment = expect_object(document, "", {"query", "events", "name", "description"})
    parts = []
    if "query" in segment:
        parts.append(_translate_query(segment["query"], "/query"))
    for index, event in enumerate(expect_list(segment.get("events", []), "/events")):
        parts.append(translate_event(event, f"/events/{index}"))
    if not parts:
        raise InvalidRequest("a segment needs a `query`, `events`, or both", path="")
    condition = {"all": parts}
    conditions.parse_condition(condition)
    return condition


def _translate_query(query: Any, pointer: str, depth: int = 0) -> Document:
    if not isinstance(query, dict) or not query or depth > conditions.MAX_DEPTH - 6:
        raise InvalidRequest(
            'a query must be an object such as {"firstName": "John"}', path=pointer
        )
    parts = [
        _translate_clause(name, operand, f"{pointer}/{name}", depth)
        for name, operand in query.items()
    ]
    return parts[0] if len(parts) == 1 else {"all": parts}


def _translate_clause(name: str, operand: Any, pointer: str, depth: int) -> Document:
    if name in {"#and", "#or"}:
        clauses = [
            _translate_query(query, f"{pointer}/{index}", depth + 1)
            for index, query in enumerate(expect_list(operand, pointer))
        ]
        return {"all" if name == "#and" else "any": clauses}
    if name in _EXISTENCE:
        if not isinstance(operand, str):
            raise InvalidRequest(f"{name} needs the name of an attribute", path=pointer)
        return {"attribute": _attribute_path(operand), "op": _EXISTENCE[name]}
    if not name.startswith("#"):
        return _translate_members({name: operand}, "eq", pointer.rpartition("/")[0])
    if name not in _OPERATORS:
        known = ", ".join(["#and", "#or", *_OPERATORS, *_EXISTENCE])
        raise InvalidRequest(f"unknown operator {name}; use one of {known}", path=pointer)
    return _translate_members(operand, _OPERATORS[name], pointer)


def _translate_members(operand: Any, op: str, pointer: str) -> Document:
    if not isinstance(operand, dict) or not operand:
        raise InvalidRequest(
            'expected an attribute and its value: {"firstName": "John"}', path=pointer
        )
    parts = []
    for name, value in operand.items():
        if name == "customAttributes" and isinstance(value, dict):
            parts.append(_translate_members(value, op, f"{pointer}/{name}"))
        elif name == "tags":
            parts.append(_translate_tags(op, value, f"{pointer}/{name}"))
        else:
            parts.append(
                _compare({"attribute": _attribute_path(name)}, op, value, f"{pointer}/{name}")
            )
    return parts[0] if len(parts) == 1 else {"all": parts}


def _translate_tags(op: str, value: Any, pointer: str) -> Document:
    tags = expect_list(value if op in {"in", "not_in"} else [value], pointer)
    tests = [{"tag": tag} for tag in tags]
    if op in {"eq", "contains", "in"} and all(isinstance(tag, str) for tag in tags):
        return {"any": tests}
    if op in {"ne", "not_contains", "not_in"} and all(isinstance(tag, str) for tag in tags):
        return {"none": tests}
    raise InvalidRequest("tags support only #contains, #notContain, #in and #notIn", path=pointer)


def _compare(attribute_condition: Document, op: str, value: Any, pointer: str) -> Document:
    """Return the comparison of one value; dates and relative times are compared as instants."""
    relative = isinstance(value, dict)
    if relative:
        value = {"ago": _relative_duration(value, pointer)}
    elif isinstance(value, str) and op in {"lt", "lte", "gt", "gte"}:
        relative = parse_instant(value) is not None
    if not relative:
        test = attribute_condition | {"op": op, "value": value}
        return validated(test, pointer)
    if op in {"eq", "ne"}:
        test = attribute_condition | {"op": "on", "value": value}
        return {"none": [test]} if op == "ne" else test
    if op not in {"lt", "lte", "gt", "gte"}:
        raise InvalidRequest("times support only #eq, #ne, #lt, #lte, #gt and #gte", path=pointer)
    before = op in {"lt", "gte"}
    test = attribute_condition | {"op": "before" if before else "after", "value": value}
    if op in {"lt", "gt"}:
        return test
    return {"all": [attribute_condition | {"op": "after", "value": _EARLIEST}, {"none": [test]}]}


def _relative_duration(value: Document, pointer: str) -> str:
    text = value.get("#relNow")
    match = _RELATIVE.fullmatch(text) if isinstance(text, str) and len(value) == 1 else None
    if match is None or not int(match[1] or match[3]):
        raise InvalidRequest(
            'a relative time must be in the past, in days, weeks, hours or minutes: {"#relNow": "P-1D"};'
            " for a future time use a fixed date",
            path=pointer,
        )
    number, unit = int(match[1] or match[3]), match[2] or match[4]
    return f"{number * 7}d" if unit == "W" else f"{number}{unit.lower()}"


def _attribute_path(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else f"[{json.dumps(name)}]"
