"""The events that a segment of Infobip asks about, as conditions.

Settled here, where Infobip's documents are silent: AFTER n means within the last n units and BEFORE n at least n
units ago; BETWEEN runs from the older to the newer end; an absolute end is half-open like `within`.  With FIRST
or LAST the number of times is counted over all time, and that one occurrence has to lie in the window.
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
    **{it: it.lower() for it in ("EQ", "NE", "LT", "LTE", "GT", "GTE")},
    "SW": "starts_with",
    "EW": "ends_with",
    "CON": "contains",
}
_COUNT_OPERATORS: Mapping[str, Callable[[int], Document]] = {
    "IS": lambda it: {"exactly": it},
    "LESS_THAN": lambda it: {"at_most": it - 1},
    "LESS_OR_EQUAL": lambda it: {"at_most": it},
    "GREATER_OR_EQUAL": lambda it: {"at_least": it},
    "GREATER_THAN": lambda it: {"at_least": it + 1},
}


def translate_event(event: Any, pointer: str) -> Document:
    """Return the condition of one event.  Raises InvalidRequest with the place."""
    members = {"definitionId", "occurrenceCondition", "timelineCondition", "payloadConditions"}
    asked = expect_object(event, pointer, members)
    name = asked.get("definitionId")
    if not isinstance(name, str):
        raise InvalidRequest("an event needs its `definitionId`", path=pointer)
    payload = enumerate(
        expect_list(asked.get("payloadConditions", []), f"{pointer}/payloadConditions")
    )
    what: Document = {"event": name}
    where = [_payload_comparison(it, f"{pointer}/payloadConditions/{at}") for at, it in payload]
    if where:
        what["where"] = where
    count = _occurrence_count(asked.get("occurrenceCondition"), f"{pointer}/occurrenceCondition")
    window = asked.get("timelineCondition") or {"occurred": "ALL", "operator": "EMPTY"}
    return _apply_timeline(what, count, window, f"{pointer}/timelineCondition")


def _occurrence_count(occurrence_condition: Any, pointer: str) -> Document:
    if occurrence_condition is None:
        return {"at_least": 1}
    occurrence = expect_object(occurrence_condition, pointer, {"operation", "times"})
    times, how = occurrence.get("times"), occurrence.get("operation")
    if (
        not isinstance(how, str)
        or how not in _COUNT_OPERATORS
        or not isinstance(times, int)
        or isinstance(times, bool)
    ):
        raise InvalidRequest(
            f"write an `operation` of {', '.join(_COUNT_OPERATORS)}, and `times`", path=pointer
        )
    count = _COUNT_OPERATORS[how](times)
    if min(count.values()) < 0:
        raise InvalidRequest("nothing happens fewer than 0 times", path=pointer)
    return count


def _payload_comparison(payload_condition: Any, pointer: str) -> Document:
    said = expect_object(payload_condition, pointer, {"attribute", "operator", "value"})
    name, op, value = (said.get(it) for it in ("attribute", "operator", "value"))
    if not isinstance(name, str) or not isinstance(op, str) or op not in _PAYLOAD_OPERATORS:
        raise InvalidRequest(
            f"write `attribute`, an `operator` of {', '.join(_PAYLOAD_OPERATORS)}, `value`",
            path=pointer,
        )
    path = f"properties.{name}" if PLAIN_NAME.fullmatch(name) else f"properties[{json.dumps(name)}]"
    return _comparison(path, _PAYLOAD_OPERATORS[op], value, pointer)


def _comparison(path: str, op: str, value: Any, pointer: str) -> Document:
    """Compare a property; Infobip writes every value as text, so a number's text stands for both."""
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
    which, op = window.get("occurred", "ALL"), window.get("operator", "EMPTY")
    if which not in ("ALL", "FIRST", "LAST", "NOT"):
        raise InvalidRequest("`occurred` is ALL, FIRST, LAST or NOT", path=pointer)
    if op == "EMPTY":
        test = event_condition | {"count": count}
        return {"none": [test]} if which == "NOT" else test
    name, _, absolute = str(op).partition("_")
    if name not in {"AFTER", "BEFORE", "BETWEEN"} or absolute not in {"", "ABS"}:
        raise InvalidRequest(
            "`operator` is EMPTY, AFTER, BEFORE, BETWEEN, or one of those with _ABS", path=pointer
        )
    ends = _window_bounds(window, name, bool(absolute), pointer)
    if which in {"ALL", "NOT"}:
        whole = _count_in_window(event_condition, count, ends, bool(absolute), pointer)
        return {"none": [whole]} if which == "NOT" else whole
    one = _occurrence_absolute if absolute else _occurrence_relative
    return {"all": [event_condition | {"count": count}, *one(event_condition, which, *ends)]}


def _window_bounds(
    window: Document, operator: str, absolute: bool, pointer: str
) -> tuple[Any, Any]:
    """Return the older and the newer end; None where it is open."""
    start, end = window.get("start"), window.get("end")
    if operator != "BETWEEN":  # one end is asked for, whichever member it is written in
        only = end if start is None else start
        start, end = (only, None) if operator == "AFTER" else (None, only)
    wanted = {"AFTER": 1, "BEFORE": 1, "BETWEEN": 2}[operator]
    given = [it for it in (start, end) if it is not None]
    if absolute:
        fit = all(isinstance(it, str) and parse_instant(it) is not None for it in given)
        hint = "`start` and `end` are instants such as 2026-01-31T12:00:00Z"
    else:
        unit = _UNITS.get(str(window.get("units")))
        fit = unit is not None and all(type(it) is int and 0 < it < 10**8 for it in given)
        hint = "`start` and `end` are numbers of `units`: DAYS, HOURS or MINUTES"
        if fit and wanted == len(given) == 2:
            start, end = max(given), min(given)
        start, end = (None if it is None else f"{it}{unit}" for it in (start, end))
    if len(given) != wanted or not fit:
        raise InvalidRequest(f"{operator} needs {wanted} of `start`, `end`; {hint}", path=pointer)
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
        within = {name: it for name, it in (("from", start), ("to", end)) if it is not None}
        return event_condition | {"count": count, "within": within}
    if end is None:
        return event_condition | {"count": count, "within": {"last": start}}
    once = event_condition | {"occurrence": "first", "older_than": end}
    if start is None and count == {"at_least": 1}:
        return once
    if start is None and count in ({"exactly": 0}, {"at_most": 0}):
        return {"none": [once]}
    raise InvalidRequest(
        "how often something happened up to some time ago cannot be asked; write AFTER, or fixed"
        " times with BEFORE_ABS or BETWEEN_ABS, or ask for FIRST or LAST",
        path=pointer,
    )


def _occurrence_relative(
    event_condition: Document, which: str, start: Any, end: Any
) -> list[Document]:
    one = event_condition | {"occurrence": which.lower()}
    newer = [] if start is None else [one | {"newer_than": start}]
    older = [] if end is None else [one | {"older_than": end}]
    return newer + older


def _occurrence_absolute(
    event_condition: Document, which: str, start: Any, end: Any
) -> list[Document]:
    within = {name: it for name, it in (("from", start), ("to", end)) if it is not None}
    found = [event_condition | {"within": within}]
    outside = {"to": start} if which == "FIRST" else {"from": end}
    if None not in outside.values():
        found.append(event_condition | {"count": {"exactly": 0}, "within": outside})
    return found


def validated(test: Document, pointer: str) -> Document:
    """Return a condition if it can be one; what is wrong is told of the place."""
    try:
        conditions.parse_condition(test)
    except InvalidRequest as error:
        raise InvalidRequest(str(error), path=pointer) from None
    return test


def expect_object(value: Any, pointer: str, members: set[str]) -> Document:
    """Return the value if it is an object with no other members."""
    if not isinstance(value, dict) or value.keys() - members:
        raise InvalidRequest(
            f"an object with {', '.join(sorted(members))} is needed here", path=pointer
        )
    return value


def expect_list(value: Any, pointer: str) -> list[Any]:
    """Return the value if it is a list."""
    if not isinstance(value, list):
        raise InvalidRequest("a list is needed here", path=pointer)
    return value
