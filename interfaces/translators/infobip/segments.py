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
    PLAIN,
    Document,
    checked,
    list_at,
    object_at,
    translated,
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
_EVER = "0001-01-01T00:00:00Z"


def translate(document: Any) -> Document:
    """Return the condition that a segment means.

    Raises InvalidRequest with the place, as a JSON pointer, and what to write instead.
    """
    segment = object_at(document, "", {"query", "events", "name", "description"})
    parts = []
    if "query" in segment:
        parts.append(_query(segment["query"], "/query"))
    for at, event in enumerate(list_at(segment.get("events", []), "/events")):
        parts.append(translated(event, f"/events/{at}"))
    if not parts:
        raise InvalidRequest("a segment has a `query`, or `events`, or both", path="")
    whole = {"all": parts}
    conditions.read(whole)
    return whole


def _query(query: Any, place: str, depth: int = 0) -> Document:
    if not isinstance(query, dict) or not query or depth > conditions.DEPTH - 6:
        raise InvalidRequest('a query is an object such as {"firstName": "John"}', path=place)
    parts = [_clause(name, asked, f"{place}/{name}", depth) for name, asked in query.items()]
    return parts[0] if len(parts) == 1 else {"all": parts}


def _clause(name: str, asked: Any, place: str, depth: int) -> Document:
    if name in {"#and", "#or"}:
        clauses = enumerate(list_at(asked, place))
        found = [_query(it, f"{place}/{at}", depth + 1) for at, it in clauses]
        return {"all" if name == "#and" else "any": found}
    if name in _EXISTENCE:
        if not isinstance(asked, str):
            raise InvalidRequest(f"{name} takes the name of an attribute", path=place)
        return {"attribute": _attribute(asked), "op": _EXISTENCE[name]}
    if not name.startswith("#"):
        return _members({name: asked}, "eq", place.rpartition("/")[0])
    if name not in _OPERATORS:
        known = ", ".join(["#and", "#or", *_OPERATORS, *_EXISTENCE])
        raise InvalidRequest(f"{name} is no operator; write one of {known}", path=place)
    return _members(asked, _OPERATORS[name], place)


def _members(asked: Any, op: str, place: str) -> Document:
    if not isinstance(asked, dict) or not asked:
        raise InvalidRequest('write the attribute and its value: {"firstName": "John"}', path=place)
    parts = []
    for name, value in asked.items():
        if name == "customAttributes" and isinstance(value, dict):
            parts.append(_members(value, op, f"{place}/{name}"))
        elif name == "tags":
            parts.append(_tags(op, value, f"{place}/{name}"))
        else:
            parts.append(_compared({"attribute": _attribute(name)}, op, value, f"{place}/{name}"))
    return parts[0] if len(parts) == 1 else {"all": parts}


def _tags(op: str, value: Any, place: str) -> Document:
    wanted = value if op in {"in", "not_in"} else [value]
    found = [{"tag": it} for it in list_at(wanted, place)]
    if op in {"eq", "contains", "in"} and all(isinstance(it["tag"], str) for it in found):
        return {"any": found}
    if op in {"ne", "not_contains", "not_in"} and all(isinstance(it["tag"], str) for it in found):
        return {"none": found}
    raise InvalidRequest("tags are asked for by #contains, #notContain, #in or #notIn", path=place)


def _compared(what: Document, op: str, value: Any, place: str) -> Document:
    """Compare one value; a date in a way that knows of time."""
    relative = isinstance(value, dict)
    if relative:
        value = {"ago": _ago(value, place)}
    elif isinstance(value, str) and op in {"lt", "lte", "gt", "gte"}:
        relative = parse_instant(value) is not None
    if not relative:
        test = what | {"op": op, "value": value}
        return checked(test, place)
    if op in {"eq", "ne"}:
        test = what | {"op": "on", "value": value}
        return {"none": [test]} if op == "ne" else test
    if op not in {"lt", "lte", "gt", "gte"}:
        raise InvalidRequest("a time is compared by #eq, #ne, #lt, #lte, #gt or #gte", path=place)
    before = op in {"lt", "gte"}
    test = what | {"op": "before" if before else "after", "value": value}
    if op in {"lt", "gt"}:
        return test
    return {"all": [what | {"op": "after", "value": _EVER}, {"none": [test]}]}


def _ago(value: Document, place: str) -> str:
    said = value.get("#relNow")
    found = _RELATIVE.fullmatch(said) if isinstance(said, str) and len(value) == 1 else None
    if found is None or not int(found[1] or found[3]):
        raise InvalidRequest(
            'a relative time is in the past, in days, weeks, hours or minutes: {"#relNow": "P-1D"};'
            " for one to come write the date itself",
            path=place,
        )
    number, unit = int(found[1] or found[3]), found[2] or found[4]
    return f"{number * 7}d" if unit == "W" else f"{number}{unit.lower()}"


def _attribute(name: str) -> str:
    return name if PLAIN.fullmatch(name) else f"[{json.dumps(name)}]"
