"""How the oracles walk to a value, and compare it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def walk(value: Any, steps: list[str]) -> Iterable[Any]:
    if not steps:
        yield value
    elif steps[0] == "[]":
        for each in value if isinstance(value, list) else ():
            yield from walk(each, steps[1:])
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from walk(value[steps[0]], steps[1:])


def compares(found: list[Any], op: str, value: Any, clock: int) -> bool:
    negative = {"ne": "eq", "not_in": "in", "not_contains": "contains", "not_exists": "exists"}
    if op in negative:
        return not compares(found, negative[op], value, clock)
    return any(_one(it, op, value, clock) for it in found)


def _one(it: Any, op: str, value: Any, clock: int) -> bool:  # noqa: C901 - a plain list
    if op == "exists":
        return it is not None
    if op == "eq":
        return kind_of(it) == kind_of(value) and it == value
    if op == "in":
        return any(_one(it, "eq", one, clock) for one in value)
    if op == "contains":
        if isinstance(it, list):
            return any(_one(one, "eq", value, clock) for one in it)
        return isinstance(it, str) and isinstance(value, str) and value in it
    if op in {"starts_with", "ends_with"}:
        return isinstance(it, str) and (it.startswith if op == "starts_with" else it.endswith)(
            value
        )
    if op == "between":
        return _one(it, "gte", value[0], clock) and _one(it, "lte", value[1], clock)
    if op in {"before", "after", "on"}:
        at = micros(it) if isinstance(it, str) else None
        if kind_of(it) == "number":
            at = int(it * 1_000_000)
        bound = clock - span(value["ago"]) if isinstance(value, dict) else micros(value)
        if at is None or bound is None:
            return False
        day = 86_400_000_000
        return {"before": at < bound, "after": at > bound, "on": at // day == bound // day}[op]
    if kind_of(it) != kind_of(value) or kind_of(it) not in {"number", "string"}:
        return False
    return {"gt": it > value, "gte": it >= value, "lt": it < value, "lte": it <= value}[op]


def kind_of(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return repr(type(value))
    return {int: "number", float: "number", Fraction: "number", str: "string"}.get(
        type(value), repr(type(value))
    )


def span(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]] * 1_000_000


def micros(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    delta = moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
