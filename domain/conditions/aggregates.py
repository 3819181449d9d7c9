"""Conditions on a property over many events: its sum, average, smallest, largest, distinct values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Context, Decimal
from fractions import Fraction
from operator import eq, ge, gt, le, lt, ne
from typing import Any, ClassVar, Literal

import msgspec

from domain import paths
from domain.conditions.base import Leaf
from domain.conditions.events import matcher
from domain.conditions.keeping import Happened, Summary
from domain.conditions.names import EventName
from domain.conditions.times import Within
from domain.conditions.values import Comparison, is_number
from domain.errors import InvalidRequest

_EXACT = Context(prec=2_000)
"""Digits enough for a sum of any two doubles, so that no sum is ever rounded."""

Function = Literal["sum", "avg", "min", "max", "distinct"]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": eq,
    "ne": ne,
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
}


class Aggregate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function of the values at a path, and what it is compared with."""

    fn: Function
    path: str
    op: Literal["eq", "ne", "gt", "gte", "lt", "lte", "between"]
    value: Any

    def __post_init__(self) -> None:
        paths.parse(self.path)
        numbers = self.value if self.op == "between" else [self.value]
        wanted = 2 if self.op == "between" else 1
        if (
            not isinstance(numbers, list)
            or len(numbers) != wanted
            or not all(map(is_number, numbers))
        ):
            raise InvalidRequest(
                "an aggregate is compared with a number; `between` with [low, high]"
            )

    def holds(self, result: Fraction | None) -> bool:
        """Compare a result; one that there is not never holds."""
        if result is None:
            return False
        if self.op == "between":
            low, high = self.value
            return _exact(low) <= result <= _exact(high)
        return _COMPARE[self.op](result, _exact(self.value))


class Aggregated(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A property over the events that the person did, ever or within a window.

    The summary of a window that moves is its values with their times; any other is the smallest that
    joins: sum and number of them, smallest, largest, or the set.  Sums are exact, so order cannot
    change them.
    """

    KEY: ClassVar[str] = "aggregate"

    event: EventName
    aggregate: Aggregate
    within: Within | None = None
    where: tuple[Comparison, ...] = ()

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what gives the values of a matching event."""
        matches, steps = matcher(self.where), paths.parse(self.aggregate.path)
        window, moves, distinct = self.within, self._moves, self.aggregate.fn == "distinct"

        def note(happened: Happened) -> Summary:
            if window is not None and not moves and not window.covers(happened.at):
                return None
            if not matches(happened.document):
                return None
            found = list(_texts(paths.find(happened.document, steps), distinct))
            if not found:
                return None
            if moves:
                return [[happened.at, text] for text in sorted(found)]
            return _total(self.aggregate.fn, found)

        return note

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the values, or the totals, of both."""
        if self._moves:
            return sorted([*one, *other])
        return _TOTALS[self.aggregate.fn](one, other)

    def outlived(self, summary: Summary, clock: int) -> Summary:
        """Leave out what has left the window for ever."""
        if not self._moves:
            return summary
        return [it for it in summary if it[0] > clock - self._span] or None

    def holds_of(self, summary: Summary, clock: int) -> bool:
        """Compare the result with the wanted value."""
        return self.aggregate.holds(self._result(summary, clock))

    def changes_of(self, summary: Summary, clock: int) -> int | None:
        """Return when a value leaves the window and with it the answer changes."""
        if not self._moves:
            return None
        kept = self._within(summary, clock)
        holds = self.aggregate.holds(_of_values(self.aggregate.fn, kept))
        leaving = sorted({at for at, _ in kept})
        for at in leaving:
            left = [it for it in kept if it[0] > at]
            if self.aggregate.holds(_of_values(self.aggregate.fn, left)) != holds:
                return int(at + self._span)
        return None

    def evidence_of(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return the result."""
        result = self._result(summary, clock)
        return {"result": None if result is None else _readable(result)}

    def _result(self, summary: Summary, clock: int) -> Fraction | None:
        if self._moves:
            return _of_values(self.aggregate.fn, self._within(summary, clock))
        return _of_total(self.aggregate.fn, summary)

    def _within(self, summary: Summary, clock: int) -> list[list[Any]]:
        return [it for it in summary or () if clock - self._span < it[0] <= clock]

    @property
    def _moves(self) -> bool:
        return self.within is not None and self.within.span is not None

    @property
    def _span(self) -> int:
        assert self.within is not None
        assert self.within.span is not None
        return self.within.span


def _texts(values: Iterable[Any], distinct: bool) -> Iterable[str]:
    for value in values:
        if is_number(value):
            yield _canonical(value)
        elif distinct and isinstance(value, (str, bool)):
            yield msgspec.json.encode(value).decode()


def _canonical(value: float) -> str:
    """Return a number's text, the same for equal numbers."""
    exact = Decimal(repr(value) if isinstance(value, float) else value)
    return str(exact.normalize(_EXACT)) if exact else "0"


def _readable(result: Fraction) -> float | str:
    """Return a number for people; the text of one that no double can hold."""
    try:
        return float(result)
    except OverflowError:
        return f"{Decimal(round(result)):.6e}"


def _exact(value: float) -> Fraction:
    return Fraction(Decimal(repr(value) if isinstance(value, float) else value))


def _total(fn: str, texts: list[str]) -> Summary:
    if fn == "distinct":
        return sorted(set(texts))
    numbers = [Decimal(it) for it in texts]
    if fn in {"min", "max"}:
        return str(min(numbers) if fn == "min" else max(numbers))
    return [_sum(numbers), len(numbers)]


def _sum(numbers: Iterable[Decimal]) -> str:
    total = Decimal(0)
    for each in numbers:
        total = _EXACT.add(total, each)
    return str(total.normalize(_EXACT)) if total else "0"


def _sums(one: Any, other: Any) -> Any:
    return [_sum((Decimal(one[0]), Decimal(other[0]))), one[1] + other[1]]


_TOTALS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": _sums,
    "avg": _sums,
    "min": lambda one, other: str(min(Decimal(one), Decimal(other))),
    "max": lambda one, other: str(max(Decimal(one), Decimal(other))),
    "distinct": lambda one, other: sorted({*one, *other}),
}


def _of_values(fn: Function, values: list[list[Any]]) -> Fraction | None:
    return _of_total(fn, _total(fn, [text for _, text in values]) if values else None)


def _of_total(fn: Function, total: Summary) -> Fraction | None:
    if fn == "distinct":
        return Fraction(len(total or ()))
    if fn == "sum":
        return Fraction(Decimal(total[0])) if total else Fraction(0)
    if not total:
        return None
    return Fraction(Decimal(total[0])) / total[1] if fn == "avg" else Fraction(Decimal(total))
