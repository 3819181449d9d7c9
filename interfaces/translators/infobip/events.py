"""Translates the event conditions of an Infobip segment.

Decisions where Infobip's documentation is silent: AFTER n means within the last n units and BEFORE n at least n
units ago; BETWEEN ranges from the older to the newer bound; an absolute range is half-open like `within`.  With FIRST
or LAST the count is over all time, and only the first or last occurrence must lie in the window.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from domain import conditions
from domain.core.errors import InvalidRequest
from domain.core.time import parse_instant

Document = dict[str, Any]

PLAIN_NAME = re.compile(r"[^\s.\[\]=!<>\"']+")
_UNITS = {"DAYS": "d", "HOURS": "h", "MINUTES": "m"}
_PAYLOAD_OPERATORS = {
    **{name: name.lower() for name in ("EQ", "NE", "LT", "LTE", "GT", "GTE")},
    "SW": "starts_with",
    "EW": "ends_with",
    "CON": "contains",
}
_COUNT_OPERATORS: Mapping[str, Callable[[int], Document]] = {
    "IS": lambda times: {"exactly": times},
    "LESS_THAN": lambda times: {"at_most": times - 1},
    "LESS_OR_EQUAL": lambda times: {"at_most": times},
    "GREATER_OR_EQUAL": lambda times: {"at_least": times},
    "GREATER_THAN": lambda times: {"at_least": times + 1},
}


def translate_event(event: Any, pointer: str) -> Document:
    """Translate one event condition.  Raises InvalidRequest with its JSON pointer."""
    members = {"definitionId", "occurrenceCondition", "timelineCondition", "payloadConditions"}
    fields = expect_object(event, pointer, members)
    name = fields.get("definitionId")
    if not isinstance(name, str):
        raise InvalidRequest("an event needs its `definitionId`", path=pointer)
    payload_pointer = f"{pointer}/payloadConditions"
    comparisons = expect_list(fields.get("payloadConditions", []), payload_pointer)
    condition: Document = {"event": name}
    where = [
        _payload_comparison(comparison, f"{payload_pointer}/{index}")
        for index, comparison in enumerate(comparisons)
    ]
    if where:
        condition["where"] = where
    count = _occurrence_count(fields.get("occurrenceCondition"), f"{pointer}/occurrenceCondition")
    window = fields.get("timelineCondition") or {"occurred": "ALL", "operator": "EMPTY"}
    return _apply_timeline(condition, count, window, f"{pointer}/timelineCondition")


def _occurrence_count(occurrence_condition: Any, pointer: str) -> Document:
    if occurrence_condition is None:
        return {"at_least": 1}
    occurrence = expect_object(occurrence_condition, pointer, {"operation", "times"})
    times, operation = occurrence.get("times"), occurrence.get("operation")
    if (
        not isinstance(operation, str)
        or operation not in _COUNT_OPERATORS
        or not isinstance(times, int)
        or isinstance(times, bool)
    ):
        raise InvalidRequest(
            f"expected `times`, and an `operation` of {', '.join(_COUNT_OPERATORS)}", path=pointer
        )
    count = _COUNT_OPERATORS[operation](times)
    if min(count.values()) < 0:
        raise InvalidRequest("the count must not be negative", path=pointer)
    return count


def _payload_comparison(payload_condition: Any, pointer: str) -> Document:
    fields = expect_object(payload_condition, pointer, {"attribute", "operator", "value"})
    name, op, value = (fields.get(key) for key in ("attribute", "operator", "value"))
    if not isinstance(name, str) or not isinstance(op, str) or op not in _PAYLOAD_OPERATORS:
        raise InvalidRequest(
            f"expected `attribute`, `value`, and an `operator` of {', '.join(_PAYLOAD_OPERATORS)}",
            path=pointer,
        )
    path = f"properties.{name}" if PLAIN_NAME.fullmatch(name) else f"properties[{json.dumps(name)}]"
    return _comparison(path, _PAYLOAD_OPERATORS[op], value, pointer)


def _comparison(path: str, op: str, value: Any, pointer: str) -> Document:
    """Return the comparison of a property.

    Infobip writes every value as a string, so a numeric string matches the number, too.
    """
    number = _parse_number(value)
    if number is not None and op in {"eq", "ne"}:
        op, value = ("in" if op == "eq" else "not_in"), [value, number]
    elif number is not None and op in {"lt", "lte", "gt", "gte"}:
        value = number
    elif isinstance(value, str) and parse_instant(value) is not None and op in {"lt", "gt"}:
        op = "before" if op == "lt" else "after"
    test = {"path": path, "op": op, "value": value}
    validated({"event": "", "where": [test]}, pointer)
    return test


def _parse_number(value: Any) -> float | None:
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        return None
    return float(value) if "." in value else int(value)


def _apply_timeline(
    event_condition: Document, count: Document, timeline_condition: Any, pointer: str
) -> Document:
    window = expect_object(
        timeline_condition, pointer, {"occurred", "operator", "start", "end", "units"}
    )
    occurred, op = window.get("occurred", "ALL"), window.get("operator", "EMPTY")
    if occurred not in ("ALL", "FIRST", "LAST", "NOT"):
        raise InvalidRequest("`occurred` must be ALL, FIRST, LAST or NOT", path=pointer)
    if op == "EMPTY":
        test = event_condition | {"count": count}
        return {"none": [test]} if occurred == "NOT" else test
    name, _, absolute = str(op).partition("_")
    if name not in {"AFTER", "BEFORE", "BETWEEN"} or absolute not in {"", "ABS"}:
        raise InvalidRequest(
            "`operator` must be EMPTY, or AFTER, BEFORE or BETWEEN, with or without _ABS",
            path=pointer,
        )
    bounds = _window_bounds(window, name, bool(absolute), pointer)
    if occurred in {"ALL", "NOT"}:
        test = _count_in_window(event_condition, count, bounds, bool(absolute), pointer)
        return {"none": [test]} if occurred == "NOT" else test
    occurrence = _occurrence_absolute if absolute else _occurrence_relative
    tests = occurrence(event_condition, occurred, *bounds)
    return {"all": [event_condition | {"count": count}, *tests]}


def _window_bounds(
    window: Document, operator: str, absolute: bool, pointer: str
) -> tuple[Any, Any]:
    """Return the older and the newer bound of the window; None if it is open."""
    start, end = window.get("start"), window.get("end")
    if operator != "BETWEEN":  # one bound is needed, in either member
        bound = end if start is None else start
        start, end = (bound, None) if operator == "AFTER" else (None, bound)
    required = {"AFTER": 1, "BEFORE": 1, "BETWEEN": 2}[operator]
    bounds = [bound for bound in (start, end) if bound is not None]
    if absolute:
        valid = all(isinstance(bound, str) and parse_instant(bound) is not None for bound in bounds)
        hint = "`start` and `end` must be instants such as 2026-01-31T12:00:00Z"
    else:
        unit = _UNITS.get(str(window.get("units")))
        valid = unit is not None and all(
            type(bound) is int and 0 < bound < 10**8 for bound in bounds
        )
        hint = "`start` and `end` must be numbers of `units`: DAYS, HOURS or MINUTES"
        if valid and required == len(bounds) == 2:
            start, end = max(bounds), min(bounds)
        start, end = (None if bound is None else f"{bound}{unit}" for bound in (start, end))
    if len(bounds) != required or not valid:
        raise InvalidRequest(f"{operator} needs {required} of `start`, `end`; {hint}", path=pointer)
    return start, end


def _count_in_window(
    event_condition: Document,
    count: Document,
    bounds: tuple[Any, Any],
    absolute: bool,
    pointer: str,
) -> Document:
    start, end = bounds
    if absolute:
        within = {
            name: bound for name, bound in (("from", start), ("to", end)) if bound is not None
        }
        return event_condition | {"count": count, "within": within}
    if end is None:
        return event_condition | {"count": count, "within": {"last": start}}
    occurred = event_condition | {"occurrence": "first", "older_than": end}
    if start is None and count == {"at_least": 1}:
        return occurred
    if start is None and count in ({"exactly": 0}, {"at_most": 0}):
        return {"none": [occurred]}
    raise InvalidRequest(
        "a count before a relative time is not supported; use AFTER, fixed times"
        " (BEFORE_ABS, BETWEEN_ABS), or FIRST or LAST",
        path=pointer,
    )


def _occurrence_relative(
    event_condition: Document, occurred: str, start: Any, end: Any
) -> list[Document]:
    occurrence = event_condition | {"occurrence": occurred.lower()}
    newer = [] if start is None else [occurrence | {"newer_than": start}]
    older = [] if end is None else [occurrence | {"older_than": end}]
    return newer + older


def _occurrence_absolute(
    event_condition: Document, occurred: str, start: Any, end: Any
) -> list[Document]:
    within = {name: bound for name, bound in (("from", start), ("to", end)) if bound is not None}
    tests = [event_condition | {"within": within}]
    outside = {"to": start} if occurred == "FIRST" else {"from": end}
    if None not in outside.values():
        tests.append(event_condition | {"count": {"exactly": 0}, "within": outside})
    return tests


def validated(test: Document, pointer: str) -> Document:
    """Return a valid condition.  Raises InvalidRequest with the JSON pointer of its source."""
    try:
        conditions.parse_condition(test)
    except InvalidRequest as error:
        raise InvalidRequest(str(error), path=pointer) from None
    return test


def expect_object(value: Any, pointer: str, members: set[str]) -> Document:
    """Return an object that has no other members.  Raises InvalidRequest."""
    if not isinstance(value, dict) or value.keys() - members:
        raise InvalidRequest(f"expected an object with {', '.join(sorted(members))}", path=pointer)
    return value


def expect_list(value: Any, pointer: str) -> list[Any]:
    """Return a list.  Raises InvalidRequest for any other value."""
    if not isinstance(value, list):
        raise InvalidRequest("expected a list", path=pointer)
    return value
