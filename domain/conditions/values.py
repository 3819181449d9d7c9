"""Operators: how conditions compare values of events and profiles.

Types compare as types: a number never equals its text, and only numbers and strings have an order
(strings by code point).  The negative operators hold for an absent value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from operator import ge, gt, le, lt
from typing import Any, Literal, get_args

import msgspec

from domain.conditions.schema_fragments import INSTANT, operand_rules
from domain.core import paths
from domain.core.errors import InvalidRequest
from domain.core.time import EARLIEST, LATEST, parse_duration, parse_instant

Operator = Literal[
    "eq",
    "ne",
    "gt",
    "gte",
    "lt",
    "lte",
    "between",
    "in",
    "not_in",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "exists",
    "not_exists",
    "before",
    "after",
    "on",
]

OPPOSITES: dict[str, str] = {
    "ne": "eq",
    "not_in": "in",
    "not_contains": "contains",
    "not_exists": "exists",
}
"""Negative operators, each with the operator whose opposite it is."""

DAY_US = 86_400_000_000
ExactNumber = Decimal | Fraction
EXACT_TYPES = (Decimal, Fraction)
"""Types of computed numbers, which are exact: never rounded to a double."""

MAX_INTEGER_BITS = 1_024
"""Integers beyond the range of a double are not numbers of a condition."""

Predicate = Callable[[Any], bool]


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Compares the values at a path with a value; holds if any of them does."""

    SCHEMA = operand_rules(get_args(Operator), INSTANT)

    path: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        paths.parse(self.path)
        if is_relative_time(self.value):
            raise InvalidRequest(
                "a property cannot be compared with a relative time; use an instant,"
                " e.g. 2026-01-31T12:00:00Z",
                path=self.path,
            )
        check_operand(self.op, self.value)

    def compile(self) -> Callable[[Any], bool]:
        """Returns the test of a document such as ``{"properties": {...}}``."""
        find = paths.compile_path(paths.parse(self.path))
        holds = compile_operator(self.op, self.value, 0)
        if self.op in OPPOSITES:
            return lambda document: not any(map(holds, find(document)))
        return lambda document: any(map(holds, find(document)))


def compile_operator(op: str, value: Any, clock: int) -> Predicate:
    """Returns the test of one value by the positive form of the operator.

    For a negative operator the caller negates the result over all values at the path.  ``clock``, in
    microseconds, is the reference of values such as ``{"ago": "7d"}``.
    """
    return _OPERATORS[OPPOSITES.get(op, op)](value, clock)


def check_operand(op: str, value: Any) -> None:
    """Raises InvalidRequest, with the expected operand, unless the operator accepts the value."""
    if op in {"exists", "not_exists"}:
        if value is not msgspec.UNSET:
            raise InvalidRequest(f"`{op}` takes no value", op=op)
        return
    if value is msgspec.UNSET:
        raise InvalidRequest(f"`{op}` needs a value", op=op)
    expected, accepts = _OPERANDS.get(OPPOSITES.get(op, op), ("any value", lambda _value: True))
    if not accepts(value):
        raise InvalidRequest(f"the value of `{op}` must be {expected}", op=op)


def is_relative_time(value: Any) -> bool:
    """Returns whether a value is a time relative to the clock: ``{"ago": "7d"}``."""
    return isinstance(value, dict) and set(value) == {"ago"}


def to_instant(value: Any) -> int | None:
    """Returns the microseconds of a value, or None if it is not a time.

    A string is RFC 3339 or a date (its first instant, UTC); a number is Unix seconds, within the
    years 1 to 9999.
    """
    if isinstance(value, str):
        return parse_instant(value)
    if is_number(value):
        at = (Fraction(value) if isinstance(value, Decimal) else value) * 1_000_000
        return int(at) if EARLIEST <= at <= LATEST else None
    return None


def is_number(value: Any) -> bool:
    """Returns whether a value is a number within the range of a double, not a boolean."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() <= MAX_INTEGER_BITS
    return isinstance(value, EXACT_TYPES)


def resolve_instant(value: Any, clock: int) -> int:
    """Returns the instant of a condition's value, in microseconds; `check_operand` accepted it."""
    if is_relative_time(value):
        return clock - parse_duration(value["ago"])
    at = to_instant(value)
    assert at is not None
    return at


def json_equal(left: Any, right: Any) -> bool:
    """Returns whether two JSON values are equal, type for type."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(json_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(
            json_equal(left[key], right[key]) for key in left
        )
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, int], Predicate]:
    def make(operand: Any, _clock: int) -> Predicate:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        return lambda value: is_number(value) and compare(value, operand)

    return make


def _comparable(left: Any, right: Any) -> bool:
    both_strings = isinstance(left, str) and isinstance(right, str)
    return both_strings or (is_number(left) and is_number(right))


def _between(bounds: Any, _clock: int) -> Predicate:
    low, high = bounds
    return lambda value: (
        _comparable(value, low) and _comparable(value, high) and low <= value <= high
    )


def _equal(operand: Any, _clock: int) -> Predicate:
    if isinstance(operand, str):
        return lambda value: bool(value == operand)
    return lambda value: json_equal(value, operand)


def _in(operand: Any, _clock: int) -> Predicate:
    strings = frozenset(element for element in operand if isinstance(element, str))
    others = [element for element in operand if not isinstance(element, str)]
    return lambda value: (
        value in strings
        if isinstance(value, str)
        else any(json_equal(value, element) for element in others)
    )


def _contains(operand: Any, _clock: int) -> Predicate:
    def holds(value: Any) -> bool:
        if isinstance(value, list):
            return any(json_equal(element, operand) for element in value)
        return isinstance(value, str) and isinstance(operand, str) and operand in value

    return holds


def _strings(method: Callable[[str, str], bool]) -> Callable[[Any, int], Predicate]:
    return lambda operand, _clock: lambda value: isinstance(value, str) and method(value, operand)


def _instants(compare: Callable[[int, int], bool]) -> Callable[[Any, int], Predicate]:
    def make(operand: Any, clock: int) -> Predicate:
        bound = resolve_instant(operand, clock)

        def holds(value: Any) -> bool:
            at = to_instant(value)
            return at is not None and compare(at, bound)

        return holds

    return make


_OPERATORS: dict[str, Callable[[Any, int], Predicate]] = {
    "eq": _equal,
    "gt": _ordered(gt),
    "gte": _ordered(ge),
    "lt": _ordered(lt),
    "lte": _ordered(le),
    "between": _between,
    "in": _in,
    "contains": _contains,
    "starts_with": _strings(str.startswith),
    "ends_with": _strings(str.endswith),
    "exists": lambda _operand, _clock: lambda value: value is not None,
    "before": _instants(lambda at, bound: at < bound),
    "after": _instants(lambda at, bound: at > bound),
    "on": _instants(lambda at, bound: at // DAY_US == bound // DAY_US),
}


def _is_time(value: Any) -> bool:
    if is_relative_time(value):
        parse_duration(value["ago"])
        return True
    return to_instant(value) is not None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str) or is_number(value)


_TIME = 'an instant such as "2026-01-31T12:00:00Z", or {"ago": "7d"}'
_OPERANDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(("gt", "gte", "lt", "lte"), ("a number or a string", _is_scalar)),
    "between": (
        "[low, high], both numbers or both strings",
        lambda value: isinstance(value, list) and len(value) == 2 and _comparable(*value),
    ),
    "in": ("a list of values", lambda value: isinstance(value, list)),
    "contains": ("a string, number or boolean", lambda value: isinstance(value, (str, int, float))),
    **dict.fromkeys(
        ("starts_with", "ends_with"), ("a string", lambda value: isinstance(value, str))
    ),
    **dict.fromkeys(("before", "after", "on"), (_TIME, _is_time)),
}


def next_flip_at(op: str, value: Any, values: Iterable[Any], clock: int) -> int | None:
    """Returns when a comparison relative to the clock may change by itself; None: never.

    ``values`` are the profile's values at the compared path.
    """
    if op not in {"before", "after", "on"} or not is_relative_time(value):
        return None
    span = parse_duration(value["ago"])
    times = [at for item in values if (at := to_instant(item)) is not None]
    if op == "on":
        bounds = [bound for at in times for bound in _day_bounds(at)]
    else:  # `before` begins one microsecond after the bound has reached the value
        bounds = [at + (op == "before") for at in times]
    return min((at + span for at in bounds if clock < at + span <= LATEST), default=None)


def _day_bounds(at: int) -> tuple[int, int]:
    start = at // DAY_US * DAY_US
    return start, start + DAY_US
