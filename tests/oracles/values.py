"""How the oracles find values at a path, and compare them."""

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
        for element in value if isinstance(value, list) else ():
            yield from walk(element, steps[1:])
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from walk(value[steps[0]], steps[1:])


def compares(values: list[Any], op: str, operand: Any, clock: int) -> bool:
    negative = {"ne": "eq", "not_in": "in", "not_contains": "contains", "not_exists": "exists"}
    if op in negative:
        return not compares(values, negative[op], operand, clock)
    return any(_compare(value, op, operand, clock) for value in values)


def _compare(value: Any, op: str, operand: Any, clock: int) -> bool:  # noqa: C901 - a plain list
    if op == "exists":
        return value is not None
    if op == "eq":
        return kind_of(value) == kind_of(operand) and value == operand
    if op == "in":
        return any(_compare(value, "eq", option, clock) for option in operand)
    if op == "contains":
        if isinstance(value, list):
            return any(_compare(element, "eq", operand, clock) for element in value)
        return isinstance(value, str) and isinstance(operand, str) and operand in value
    if op in {"starts_with", "ends_with"}:
        return isinstance(value, str) and (
            value.startswith if op == "starts_with" else value.endswith
        )(operand)
    if op == "between":
        return _compare(value, "gte", operand[0], clock) and _compare(
            value, "lte", operand[1], clock
        )
    if op in {"before", "after", "on"}:
        at = micros(value) if isinstance(value, str) else None
        if kind_of(value) == "number":
            at = int(value * 1_000_000)
        bound = clock - span(operand["ago"]) if isinstance(operand, dict) else micros(operand)
        if at is None or bound is None:
            return False
        day = 86_400_000_000
        return {"before": at < bound, "after": at > bound, "on": at // day == bound // day}[op]
    if kind_of(value) != kind_of(operand) or kind_of(value) not in {"number", "string"}:
        return False
    return {
        "gt": value > operand,
        "gte": value >= operand,
        "lt": value < operand,
        "lte": value <= operand,
    }[op]


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
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    delta = instant - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
