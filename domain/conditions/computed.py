"""Conditions on a computed attribute and on a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from domain.conditions.base import EITHER, NEITHER, Condition, Known, Leaf
from domain.conditions.computation import Computation
from domain.conditions.names import EventName
from domain.conditions.summary import Happened, Summary
from domain.conditions.totals import NumberOperator, comparer, exact, is_compared, readable
from domain.conditions.values import (
    EXACT,
    OPPOSITES,
    Operator,
    check,
    is_number,
    needs_clock,
    next_change,
    tester,
)
from domain.core.errors import InvalidRequest


class Computed(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A computed attribute compares like this; the negative operators hold where there is no value."""

    KEY: ClassVar[str] = "computed"

    computed: Computation
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check(self.op, self.value)

    @cached_property
    def key(self) -> str:
        """What its summaries are kept under: however it is compared, they are the same."""
        return self.computed.kept_under

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return self.computed.events

    def noter(self) -> Callable[[Happened], Summary]:
        """Return what gives the values of a matching event."""
        return self.computed.noter()

    def joined(self, one: Summary, other: Summary) -> Summary:
        """Return the values, or the totals, of both."""
        return self.computed.joined(one, other)

    def outlived(self, summary: Summary, clock: int) -> Summary:
        """Leave out what has left the window for ever."""
        return self.computed.outlived(summary, clock)

    @property
    def turns(self) -> frozenset[bool]:
        """Either, where values can leave a window, or a time that is the value pass the clock."""
        return EITHER if self.computed.moves or needs_clock(self.value) else NEITHER

    def result(self, known: Known, clock: int) -> Any:
        """Return the value itself, as JSON has it; None: there is none."""
        summary, _ = self.at(known.summaries.get(self.key), clock)
        value = self.computed.value(summary, clock)
        return readable(value) if isinstance(value, EXACT) else value

    def holds_of(self, summary: Summary, clock: int) -> bool:
        """Compare the value."""
        return self._test(clock)(self.computed.value(summary, clock))

    def changes_of(self, summary: Summary, clock: int) -> int | None:
        """Return when a value leaves the window, or a time that is the value passes the clock."""
        if not needs_clock(self.value):
            return self.computed.changes(summary, clock, self._test(clock))
        value = self.computed.value(summary, clock)
        passes = next_change(self.op, self.value, (value,), clock)
        leaves = self.computed.changes_at(summary, clock)
        return min((it for it in (passes, leaves) if it is not None), default=None)

    def evidence_of(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return the value."""
        value = self.computed.value(summary, clock)
        return {"result": readable(value) if isinstance(value, EXACT) else value}

    def _test(self, clock: int) -> Callable[[Any], bool]:
        written = tester(self.op, self.value, clock)
        exactly = tester(self.op, _exactly(self.value), clock)
        opposite = self.op in OPPOSITES

        def holds(value: Any) -> bool:
            test = exactly if isinstance(value, EXACT) else written
            return (value is not None and test(value)) != opposite

        return holds


def _exactly(value: Any) -> Any:
    if isinstance(value, list):
        return [_exactly(it) for it in value]
    return exact(value) if is_number(value) else value


class Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition, and the points that it gives while it holds; they may be negative."""

    when: Condition
    points: int | float

    def __post_init__(self) -> None:
        if not is_number(self.points):
            raise InvalidRequest("points are a number")


class Score(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The points of the conditions that hold add up to a number that compares like this."""

    KEY: ClassVar[str] = "score"

    score: tuple[Scored, ...]
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_compared(self.op, self.value):
            raise InvalidRequest("a score is compared with a number; `between` with [low, high]")

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return tuple(it.when for it in self.score)

    def can_become(self, answer: bool, key: str, size: int | None) -> bool:
        """Say whether one of the conditions can change in whatever way: points may be negative."""
        can = super().can_become
        return can(answer, key, size) or can(not answer, key, size)

    @property
    def turns(self) -> frozenset[bool]:
        """Either, where one of the conditions can turn: points may be negative."""
        return EITHER if super().turns else NEITHER

    def points(self, known: Known, clock: int) -> Fraction:
        """Return the score."""
        held = (Fraction(exact(it.points)) for it in self.score if it.when.holds(known, clock))
        return sum(held, Fraction(0))

    def result(self, known: Known, clock: int) -> Any:
        """Return the score itself, as JSON has it."""
        return readable(self.points(known, clock))

    def holds(self, known: Known, clock: int) -> bool:
        """Compare the score."""
        return comparer(self.op, self.value)(self.points(known, clock))

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when the first of the conditions may change."""
        times = [at for it in self.parts if (at := it.changes_at(known, clock)) is not None]
        return min(times, default=None)

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:
        """Return the score and the explanation of each."""
        return {
            "result": readable(self.points(known, clock)),
            "parts": [it.explain(known, clock) for it in self.parts],
        }
