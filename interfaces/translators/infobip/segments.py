"""Infobip's segments (`/people/3/segments`: `query` and `events`) as conditions.

A relative time is taken from the clock: ``{"#lt": {"birthDate": {"#relNow": "P-1D"}}}`` is before a day ago.
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
    """Return the condition that a segment means.

    Raises InvalidRequest with the place, as a JSON pointer, and what to write instead.
    """
    segment = expect_object(document, "", {"query", "events", "name", "description"})
    parts = []
    if "query" in segment:
        parts.append(_translate_query(segment["query"], "/query"))
    for at, event in enumerate(expect_list(segment.get("events", []), "/events")):
        parts.append(translate_event(event, f"/events/{at}"))
    if not parts:
        raise InvalidRequest("a segment has a `query`, or `events`, or both", path="")
    whole = {"all": parts}
    conditions.parse_condition(whole)
    return whole


def _translate_query(query: Any, pointer: str, depth: int = 0) -> Document:
    if not isinstance(query, dict) or not query or depth > conditions.MAX_DEPTH - 6:
        raise InvalidRequest('a query is an object such as {"firstName": "John"}', path=pointer)
    parts = [
        _translate_clause(name, asked, f"{pointer}/{name}", depth) for name, asked in query.items()
    ]
    return parts[0] if len(parts) == 1 else {"all": parts}


def _translate_clause(name: str, operand: Any, pointer: str, depth: int) -> Document:
    if name in {"#and", "#or"}:
        clauses = enumerate(expect_list(operand, pointer))
        found = [_translate_query(it, f"{pointer}/{at}", depth + 1) for at, it in clauses]
        return {"all" if name == "#and" else "any": found}
    if name in _EXISTENCE:
        if not isinstance(operand, str):
            raise InvalidRequest(f"{name} takes the name of an attribute", path=pointer)
        return {"attribute": _attribute_path(operand), "op": _EXISTENCE[name]}
    if not name.startswith("#"):
        return _translate_members({name: operand}, "eq", pointer.rpartition("/")[0])
    if name not in _OPERATORS:
        known = ", ".join(["#and", "#or", *_OPERATORS, *_EXISTENCE])
        raise InvalidRequest(f"{name} is no operator; write one of {known}", path=pointer)
    return _translate_members(operand, _OPERATORS[name], pointer)


def _translate_members(operand: Any, op: str, pointer: str) -> Document:
    if not isinstance(operand, dict) or not operand:
        raise InvalidRequest(
            'write the attribute and its value: {"firstName": "John"}', path=pointer
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
    wanted = value if op in {"in", "not_in"} else [value]
    found = [{"tag": it} for it in expect_list(wanted, pointer)]
    if op in {"eq", "contains", "in"} and all(isinstance(it["tag"], str) for it in found):
        return {"any": found}
    if op in {"ne", "not_contains", "not_in"} and all(isinstance(it["tag"], str) for it in found):
        return {"none": found}
    raise InvalidRequest(
        "tags are asked for by #contains, #notContain, #in or #notIn", path=pointer
    )


def _compare(attribute_condition: Document, op: str, value: Any, pointer: str) -> Document:
    """Compare one value; a date in a way that knows of time."""
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
        raise InvalidRequest("a time is compared by #eq, #ne, #lt, #lte, #gt or #gte", path=pointer)
    before = op in {"lt", "gte"}
    test = attribute_condition | {"op": "before" if before else "after", "value": value}
    if op in {"lt", "gt"}:
        return test
    return {"all": [attribute_condition | {"op": "after", "value": _EARLIEST}, {"none": [test]}]}


def _relative_duration(value: Document, pointer: str) -> str:
    said = value.get("#relNow")
    found = _RELATIVE.fullmatch(said) if isinstance(said, str) and len(value) == 1 else None
    if found is None or not int(found[1] or found[3]):
        raise InvalidRequest(
            'a relative time is in the past, in days, weeks, hours or minutes: {"#relNow": "P-1D"};'
            " for one to come write the date itself",
            path=pointer,
        )
    number, unit = int(found[1] or found[3]), found[2] or found[4]
    return f"{number * 7}d" if unit == "W" else f"{number}{unit.lower()}"


def _attribute_path(name: str) -> str:
    return name if PLAIN_NAME.fullmatch(name) else f"[{json.dumps(name)}]"
