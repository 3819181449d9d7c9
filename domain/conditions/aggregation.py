"""Aggregation of values: numbers are exact, so the order of merging changes no result."""

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
"""Enough digits for the sum of any two doubles, so that no sum is ever rounded."""

_SHORT = Context(prec=40, traps=[Inexact])
"""Raises Inexact instead of rounding."""

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
    """Returns whether the operand is a number, or two numbers for `between`."""
    numbers = value if op == "between" else [value]
    wanted = 2 if op == "between" else 1
    return isinstance(numbers, list) and len(numbers) == wanted and all(map(is_number, numbers))


def compile_number_comparison(op: str, value: Any) -> Callable[[ExactNumber], bool]:
    """Returns the exact test of a number."""
    if op == "between":
        low, high = map(to_exact, value)
        return lambda result: low <= result <= high
    compare, operand = _COMPARE[op], to_exact(value)
    return lambda result: compare(result, operand)


def exact_texts(values: Iterable[Any], distinct: bool) -> list[str]:
    """Returns the canonical texts of the numbers; for `distinct`, of strings and booleans too."""
    texts = list[str]()
    for value in values:
        if is_number(value):
            texts.append(canonical_number(value))
        elif distinct and isinstance(value, (str, bool)):
            texts.append(msgspec.json.encode(value).decode())
    return texts


def canonical_number(value: float) -> str:
    """Returns the text of a number: its decimal without trailing zeros, the same if equal."""
    text = repr(value)
    if text[-1] != "0" and "e" not in text:
        return text
    number = Decimal(text)
    return str(number.normalize(_EXACT)) if number else "0"


def to_json_number(result: ExactNumber) -> float | str:
    """Returns a result as a double, or as text beyond the range of a double."""
    try:
        return float(Fraction(result))
    except OverflowError:
        return f"{Decimal(round(result)):.6e}"


@lru_cache(maxsize=4_096)
def to_exact(value: float) -> Decimal:
    """Returns the number as it is written, not the double nearest to it."""
    return Decimal(repr(value) if isinstance(value, float) else value)


def aggregate_values(fn: AggregateFunction, values: Sequence[Any]) -> Summary:
    """Returns the total of at least one value, in the form that `merge_totals` takes."""
    if fn in {"first", "last"}:
        return min(values) if fn == "first" else max(values)
    if fn == "distinct":
        return sorted(set(values))
    if len(values) == 1:
        return values[0] if fn in {"min", "max"} else [values[0], 1]
    numbers = [Decimal(value) for value in values]
    if fn in {"min", "max"}:
        return str(min(numbers) if fn == "min" else max(numbers))
    return [_sum(numbers), len(numbers)]


def _sum(numbers: Iterable[Decimal]) -> str:
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return str(total.normalize(_EXACT)) if total else "0"


def _merge_sums(left: Any, right: Any) -> Any:
    return [_sum((Decimal(left[0]), Decimal(right[0]))), left[1] + right[1]]


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    "count": _merge_sums,
    "sum": _merge_sums,
    "avg": _merge_sums,
    "min": lambda left, right: str(min(Decimal(left), Decimal(right))),
    "max": lambda left, right: str(max(Decimal(left), Decimal(right))),
    "first": min,
    "last": max,
    "distinct": lambda left, right: sorted({*left, *right}),
}


def merge_totals(fn: AggregateFunction, left: Summary, right: Summary) -> Summary:
    """Returns the total of the values of two totals."""
    return _MERGES[fn](left, right)


def result_of_total(fn: AggregateFunction, total: Summary) -> Any:
    """Returns the result of a total, or None without one; numbers are exact.

    A count, a sum and a distinct count without values are 0.  An average can be a Fraction.
    """
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
    """Yields the result of all values, then of the rest as each expires, the first value first."""
    if fn in {"count", "sum", "avg"}:
        return _remaining_sums(fn, values)
    results = [result_of_total(fn, None), *_suffix_results(fn, values)]
    return iter(results[::-1])


def _remaining_sums(fn: AggregateFunction, values: Sequence[Any]) -> Iterator[Any]:
    numbers = [Decimal(value) for value in values]
    sum_, left = reduce(_EXACT.add, numbers, Decimal(0)), len(numbers)
    for number in numbers:
        yield _average(sum_, left) if fn == "avg" else sum_
        sum_, left = _EXACT.subtract(sum_, number), left - 1
    yield result_of_total(fn, None)


def _suffix_results(fn: AggregateFunction, values: Sequence[Any]) -> Iterator[Any]:
    """Yields the result of the last value, of the last two, and so on."""
    if fn in {"min", "max"}:
        return accumulate(map(Decimal, reversed(values)), min if fn == "min" else max)
    totals = (aggregate_values(fn, [value]) for value in reversed(values))
    return (result_of_total(fn, total) for total in accumulate(totals, partial(merge_totals, fn)))


def _average(sum_: Decimal, count: int) -> ExactNumber:
    """Returns a decimal if that is exact: a fraction takes a hundred times as long (measured)."""
    try:
        return _SHORT.divide(sum_, count)
    except Inexact:
        numerator, denominator = sum_.as_integer_ratio()
        return Fraction(numerator, denominator * count)
