"""Conditions on a computed attribute and on a score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from domain.conditions.aggregation import (
    NumberOperator,
    compile_number_comparison,
    is_number_comparison,
    to_exact,
    to_json_number,
)
from domain.conditions.base import EITHER_RESULT, NO_RESULT, Condition, EvaluationInput, Leaf
from domain.conditions.computation import Computation
from domain.conditions.event_names import EventName
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import (
    EXACT_TYPES,
    OPPOSITES,
    Operator,
    check_operand,
    compile_operator,
    is_number,
    is_relative_time,
    next_flip_at,
)
from domain.core.errors import InvalidRequest


class ComputedCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A computed attribute compares like this; the negative operators hold where there is no value."""

    KEY: ClassVar[str] = "computed"

    computed: Computation
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)

    @cached_property
    def key(self) -> str:
        """What its summaries are kept under: however it is compared, they are the same."""
        return self.computed.condition_key

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return self.computed.events

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what gives the values of a matching event."""
        return self.computed.extractor()

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the values, or the totals, of both."""
        return self.computed.merge_settled(one, other)

    def expire(self, summary: Summary, clock: int) -> Summary:
        """Leave out what has left the window for ever."""
        return self.computed.expire(summary, clock)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either, where values can leave a window, or a time that is the value pass the clock."""
        return (
            EITHER_RESULT if self.computed.is_sliding or is_relative_time(self.value) else NO_RESULT
        )

    def result(self, inputs: EvaluationInput, clock: int) -> Any:
        """Return the value itself, as JSON has it; None: there is none."""
        summary, _ = self.as_of(inputs.summaries.get(self.key), clock)
        value = self.computed.value(summary, clock)
        return to_json_number(value) if isinstance(value, EXACT_TYPES) else value

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Compare the value."""
        return self._predicate(clock)(self.computed.value(summary, clock))

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when a value leaves the window, or a time that is the value passes the clock."""
        if not is_relative_time(self.value):
            return self.computed.predicate_changes_at(summary, clock, self._predicate(clock))
        value = self.computed.value(summary, clock)
        passes = next_flip_at(self.op, self.value, (value,), clock)
        leaves = self.computed.changes_at(summary, clock)
        return min((it for it in (passes, leaves) if it is not None), default=None)

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return the value."""
        value = self.computed.value(summary, clock)
        return {"result": to_json_number(value) if isinstance(value, EXACT_TYPES) else value}

    def _predicate(self, clock: int) -> Callable[[Any], bool]:
        written = compile_operator(self.op, self.value, clock)
        exactly = compile_operator(self.op, _exact_operand(self.value), clock)
        opposite = self.op in OPPOSITES

        def holds(value: Any) -> bool:
            test = exactly if isinstance(value, EXACT_TYPES) else written
            return (value is not None and test(value)) != opposite

        return holds


def _exact_operand(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact_operand(it) for it in value]
    return to_exact(value) if is_number(value) else value


class ScoreTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition, and the points that it gives while it holds; they may be negative."""

    when: Condition
    points: int | float

    def __post_init__(self) -> None:
        if not is_number(self.points):
            raise InvalidRequest("points are a number")


class ScoreCondition(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The points of the conditions that hold add up to a number that compares like this."""

    KEY: ClassVar[str] = "score"

    score: tuple[ScoreTerm, ...]
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest("a score is compared with a number; `between` with [low, high]")

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return tuple(it.when for it in self.score)

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Say whether one of the conditions can change in whatever way: points may be negative."""
        can = super().can_flip_to
        return can(result, key, size) or can(not result, key, size)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either, where one of the conditions can turn: points may be negative."""
        return EITHER_RESULT if super().flips_with_time else NO_RESULT

    def total_points(self, inputs: EvaluationInput, clock: int) -> Fraction:
        """Return the score."""
        held = (Fraction(to_exact(it.points)) for it in self.score if it.when.holds(inputs, clock))
        return sum(held, Fraction(0))

    def result(self, inputs: EvaluationInput, clock: int) -> Any:
        """Return the score itself, as JSON has it."""
        return to_json_number(self.total_points(inputs, clock))

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Compare the score."""
        return compile_number_comparison(self.op, self.value)(self.total_points(inputs, clock))

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Return when the first of the conditions may change."""
        times = [at for it in self.parts if (at := it.changes_at(inputs, clock)) is not None]
        return min(times, default=None)

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Return the score and the explanation of each."""
        return {
            "result": to_json_number(self.total_points(inputs, clock)),
            "parts": [it.explain(inputs, clock) for it in self.parts],
        }
