"""What values add up to: kept as exact text, so that no order of joining can change a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from functools import lru_cache, partial, reduce
from itertools import accumulate
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Literal

import msgspec

from domain.conditions.summary import Summary
from domain.conditions.values import ExactNumber, is_number

_EXACT = Context(prec=2_000)
"""Digits enough for a sum of any two doubles, so that no sum is ever rounded."""

_SHORT = Context(prec=40, traps=[Inexact])
"""Raises Inexact rather than round."""

AggregateFunction = Literal["count", "sum", "avg", "min", "max", "first", "last", "distinct"]
NumberOperator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "between"]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": eq,
    "ne": ne,
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
}


def is_number_comparison(op: str, value: Any) -> bool:
    """Say whether a number can be compared like this: with another, or by `between` with two."""
    numbers = value if op == "between" else [value]
    wanted = 2 if op == "between" else 1
    return isinstance(numbers, list) and len(numbers) == wanted and all(map(is_number, numbers))


def compile_number_comparison(op: str, value: Any) -> Callable[[ExactNumber], bool]:
    """Return what compares a result exactly."""
    if op == "between":
        low, high = map(to_exact, value)
        return lambda result: low <= result <= high
    compare, wanted = _COMPARE[op], to_exact(value)
    return lambda result: compare(result, wanted)


def exact_texts(values: Iterable[Any], distinct: bool) -> list[str]:
    """Return the numbers; and, to be told apart, texts and booleans too."""
    found = list[str]()
    for value in values:
        if is_number(value):
            found.append(canonical_number(value))
        elif distinct and isinstance(value, (str, bool)):
            found.append(msgspec.json.encode(value).decode())
    return found


def canonical_number(value: float) -> str:
    """Return a number's text, the same for equal numbers: that of its decimal without needless zeros."""
    text = repr(value)
    if text[-1] != "0" and "e" not in text:
        return text
    number = Decimal(text)
    return str(number.normalize(_EXACT)) if number else "0"


def to_json_number(result: ExactNumber) -> float | str:
    """Return a number for people; the text of one that no double can hold."""
    try:
        return float(Fraction(result))
    except OverflowError:
        return f"{Decimal(round(result)):.6e}"


@lru_cache(maxsize=4_096)
def to_exact(value: float) -> Decimal:
    """Return the number that is written, not the double next to it."""
    return Decimal(repr(value) if isinstance(value, float) else value)


def aggregate_values(fn: AggregateFunction, values: Sequence[Any]) -> Summary:
    """Return what some values, at least one, add up to."""
    if fn in {"first", "last"}:
        return min(values) if fn == "first" else max(values)
    if fn == "distinct":
        return sorted(set(values))
    if len(values) == 1:
        return values[0] if fn in {"min", "max"} else [values[0], 1]
    numbers = [Decimal(it) for it in values]
    if fn in {"min", "max"}:
        return str(min(numbers) if fn == "min" else max(numbers))
    return [_sum(numbers), len(numbers)]


def _sum(numbers: Iterable[Decimal]) -> str:
    total = Decimal(0)
    for each in numbers:
        total = _EXACT.add(total, each)
    return str(total.normalize(_EXACT)) if total else "0"


def _merge_sums(one: Any, other: Any) -> Any:
    return [_sum((Decimal(one[0]), Decimal(other[0]))), one[1] + other[1]]


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "count": _merge_sums,
    "sum": _merge_sums,
    "avg": _merge_sums,
    "min": lambda one, other: str(min(Decimal(one), Decimal(other))),
    "max": lambda one, other: str(max(Decimal(one), Decimal(other))),
    "first": min,
    "last": max,
    "distinct": lambda one, other: sorted({*one, *other}),
}


def merge_totals(fn: AggregateFunction, left: Summary, right: Summary) -> Summary:
    """Return what two totals add up to."""
    return _MERGES[fn](left, right)


def result_of_total(fn: AggregateFunction, total: Summary) -> Any:
    """Return the result of a total; None if there is none.  A number is exact: an average is a Fraction."""
    if fn in {"first", "last"}:
        return None if total is None else msgspec.json.decode(total[-1])
    if fn == "distinct":
        return Decimal(len(total or ()))
    if fn in {"count", "sum"}:
        return Decimal(total[0]) if total else Decimal(0)
    if not total:
        return None
    return _average(Decimal(total[0]), total[1]) if fn == "avg" else Decimal(total)


def results_as_values_expire(fn: AggregateFunction, values: Sequence[Any]) -> Iterator[Any]:
    """Give out the result of some values, then of what is left as they go one by one, the first of them first."""
    if fn in {"count", "sum", "avg"}:
        return _remaining_sums(fn, values)
    left = [result_of_total(fn, None), *_suffix_results(fn, values)]
    return iter(left[::-1])


def _remaining_sums(fn: AggregateFunction, found: Sequence[Any]) -> Iterator[Any]:
    numbers = [Decimal(it) for it in found]
    sum_, left = reduce(_EXACT.add, numbers, Decimal(0)), len(numbers)
    for number in numbers:
        yield _average(sum_, left) if fn == "avg" else sum_
        sum_, left = _EXACT.subtract(sum_, number), left - 1
    yield result_of_total(fn, None)


def _suffix_results(fn: AggregateFunction, found: Sequence[Any]) -> Iterator[Any]:
    """Give out the result of the last value, of the last two, and so on."""
    if fn in {"min", "max"}:
        return accumulate(map(Decimal, reversed(found)), min if fn == "min" else max)
    totals = (aggregate_values(fn, [it]) for it in reversed(found))
    return (result_of_total(fn, it) for it in accumulate(totals, partial(merge_totals, fn)))


def _average(sum_: Decimal, count: int) -> ExactNumber:
    """Return a decimal if that is exact: a fraction takes a hundred times as long (measured)."""
    try:
        return _SHORT.divide(sum_, count)
    except Inexact:
        above, below = sum_.as_integer_ratio()
        return Fraction(above, below * count)
