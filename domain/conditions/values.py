"""What is looked at in an event or a profile, and how it is compared.

Types compare as types: a number never equals its text, and only numbers and strings have an order
(strings by code point).  The negative operators hold where nothing is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from operator import ge, gt, le, lt
from typing import Any, Literal

import msgspec

from domain.core import paths
from domain.core.errors import InvalidRequest
from domain.core.time import EARLIEST, LATEST, MICROSECOND, parse_duration, parse_instant

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
"""Operators that hold exactly where another does not."""

DAY_US = 86_400_000_000
ExactNumber = Decimal | Fraction
EXACT_TYPES = (Decimal, Fraction)
"""Numbers that were worked out: no double next to them stands for them."""

MAX_INTEGER_BITS = 1_024

Predicate = Callable[[Any], bool]


class Comparison(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One comparison of the values at a path with a value."""

    path: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        paths.parse(self.path)
        if is_relative_time(self.value):
            raise InvalidRequest(
                "a time relative to the clock is for attributes; compare a property with an instant",
                path=self.path,
            )
        check_operand(self.op, self.value)

    def compile(self) -> Callable[[Any], bool]:
        """Return the test of a document such as ``{"properties": {...}}``."""
        find = paths.compile_path(paths.parse(self.path))
        holds = compile_operator(self.op, self.value, 0)
        if self.op in OPPOSITES:
            return lambda document: not any(map(holds, find(document)))
        return lambda document: any(map(holds, find(document)))


def compile_operator(op: str, value: Any, clock: int) -> Predicate:
    """Return the test of one value by the positive form of the operator.

    Of a negative operator the caller takes the opposite, over all values at the path.  ``clock`` is
    in microseconds, for values such as ``{"ago": "7d"}``.
    """
    return _OPERATORS[OPPOSITES.get(op, op)](value, clock)


def check_operand(op: str, value: Any) -> None:
    """Raise InvalidRequest, with what to write, unless the operator can take the value."""
    if op in {"exists", "not_exists"}:
        if value is not msgspec.UNSET:
            raise InvalidRequest(f"{op} takes no value", op=op)
        return
    if value is msgspec.UNSET:
        raise InvalidRequest(f"{op} needs a value", op=op)
    wants, fits = _OPERANDS.get(OPPOSITES.get(op, op), ("any value", lambda _value: True))
    if not fits(value):
        raise InvalidRequest(f"{op} needs {wants}", op=op)


def is_relative_time(value: Any) -> bool:
    """Say whether a value is relative to the clock: ``{"ago": "7d"}``."""
    return isinstance(value, dict) and set(value) == {"ago"}


def to_instant(value: Any) -> int | None:
    """Return the microseconds that a value means, or None if it is no time.

    A text is RFC 3339, or a date (its first instant, UTC); a number is Unix seconds of the years 1 to 9999.
    """
    if isinstance(value, str):
        return parse_instant(value)
    if is_number(value):
        at = (Fraction(value) if isinstance(value, Decimal) else value) * 1_000_000
        return int(at) if EARLIEST <= at <= LATEST else None
    return None


def is_number(value: Any) -> bool:
    """Say whether a value is a JSON number within the range of a double, which true and false are not."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return not isinstance(value, bool) and value.bit_length() <= MAX_INTEGER_BITS
    return isinstance(value, EXACT_TYPES)


def resolve_instant(value: Any, clock: int) -> int:
    """Return the instant that a condition's value names, in microseconds."""
    if is_relative_time(value):
        return clock - parse_duration(value["ago"])
    at = to_instant(value)
    assert at is not None
    return at


def json_equal(left: Any, right: Any) -> bool:
    """Say whether two JSON values are equal, type for type."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(json_equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(json_equal(left[it], right[it]) for it in left)
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, int], Predicate]:
    def make(wanted: Any, _clock: int) -> Predicate:
        if isinstance(wanted, str):
            return lambda it: isinstance(it, str) and compare(it, wanted)
        return lambda it: is_number(it) and compare(it, wanted)

    return make


def _comparable(one: Any, other: Any) -> bool:
    both_texts = isinstance(one, str) and isinstance(other, str)
    return both_texts or (is_number(one) and is_number(other))


def _between(bounds: Any, _clock: int) -> Predicate:
    low, high = bounds
    return lambda it: _comparable(it, low) and _comparable(it, high) and low <= it <= high


def _equal(wanted: Any, _clock: int) -> Predicate:
    if isinstance(wanted, str):
        return lambda it: bool(it == wanted)
    return lambda it: json_equal(it, wanted)


def _in(wanted: Any, _clock: int) -> Predicate:
    texts = frozenset(it for it in wanted if isinstance(it, str))
    others = [it for it in wanted if not isinstance(it, str)]
    return lambda it: (
        it in texts if isinstance(it, str) else any(json_equal(it, one) for one in others)
    )


def _contains(wanted: Any, _clock: int) -> Predicate:
    def holds(it: Any) -> bool:
        if isinstance(it, list):
            return any(json_equal(one, wanted) for one in it)
        return isinstance(it, str) and isinstance(wanted, str) and wanted in it

    return holds


def _texts(method: Callable[[str, str], bool]) -> Callable[[Any, int], Predicate]:
    return lambda wanted, _clock: lambda it: isinstance(it, str) and method(it, wanted)


def _instants(compare: Callable[[int, int], bool]) -> Callable[[Any, int], Predicate]:
    def make(wanted: Any, clock: int) -> Predicate:
        bound = resolve_instant(wanted, clock)

        def holds(it: Any) -> bool:
            at = to_instant(it)
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
    "starts_with": _texts(str.startswith),
    "ends_with": _texts(str.endswith),
    "exists": lambda _wanted, _clock: lambda it: it is not None,
    "before": _instants(lambda it, bound: it < bound),
    "after": _instants(lambda it, bound: it > bound),
    "on": _instants(lambda it, bound: it // DAY_US == bound // DAY_US),
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
        lambda it: isinstance(it, list) and len(it) == 2 and _comparable(*it),
    ),
    "in": ("a list of values", lambda it: isinstance(it, list)),
    "contains": ("a text, number or boolean", lambda it: isinstance(it, (str, int, float))),
    **dict.fromkeys(("starts_with", "ends_with"), ("a string", lambda it: isinstance(it, str))),
    **dict.fromkeys(("before", "after", "on"), (_TIME, _is_time)),
}


def next_flip_at(op: str, value: Any, values: Iterable[Any], clock: int) -> int | None:
    """Return when a comparison relative to the clock may change by itself, or None if never.

    ``found`` are the values that are compared.
    """
    if op not in {"before", "after", "on"} or not is_relative_time(value):
        return None
    span = parse_duration(value["ago"])
    times = [at for it in values if (at := to_instant(it)) is not None]
    if op == "on":
        bounds = [b for at in times for b in _day_bounds(at)]
    else:  # `before` begins one microsecond after the bound has reached the value
        bounds = [at + (op == "before") for at in times]
    return min((it + span for it in bounds if clock < it + span <= LATEST), default=None)


def _day_bounds(at: int) -> tuple[int, int]:
    start = at // DAY_US * DAY_US
    return start, start + DAY_US


def format_utc(at: int) -> str:
    """Return microseconds as RFC 3339 UTC."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + at * MICROSECOND
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
