"""Conditions on a property over many events: its sum, average, smallest, largest, distinct values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, Literal

import msgspec

from domain.conditions.aggregation import (
    NumberOperator,
    compile_number_comparison,
    is_number_comparison,
    to_json_number,
)
from domain.conditions.base import EITHER_RESULT, NO_RESULT, EvaluationResult, Leaf
from domain.conditions.computation import Computation
from domain.conditions.event_names import EventName
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import Comparison, ExactNumber
from domain.conditions.windows import TimeWindow
from domain.core import paths
from domain.core.errors import InvalidRequest


class AggregateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function of the values at a path, and what it is compared with."""

    fn: Literal["sum", "avg", "min", "max", "distinct"]
    path: str
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        paths.parse(self.path)
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest(
                "an aggregate is compared with a number; `between` with [low, high]"
            )

    def compile(self) -> Callable[[ExactNumber | None], bool]:
        """Return what compares a result; one that there is not never holds."""
        compare = compile_number_comparison(self.op, self.value)
        return lambda result: result is not None and compare(result)


class AggregateCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A property over the events that the person did, ever or within a window.

    Sums are exact, so order cannot change them.
    """

    KEY: ClassVar[str] = "aggregate"

    event: EventName
    aggregate: AggregateSpec
    within: TimeWindow | None = None
    where: tuple[Comparison, ...] = ()

    @cached_property
    def key(self) -> str:
        """What its summaries are kept under: those of a computed attribute are the same."""
        return self.computation.condition_key

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    @cached_property
    def computation(self) -> Computation:
        """What is compared."""
        asked = self.aggregate
        return Computation(asked.fn, self.event, asked.path, self.within, self.where)

    def count_can_flip(self, result: bool, size: int) -> bool:  # noqa: ARG002 - values tell, not their number
        """Say whether it can: only larger is what is distinct or largest, a sum may be of negative numbers."""
        grows = self.aggregate.fn in {"distinct", "max"} and self.aggregate.op in {"gt", "gte"}
        return result or not grows

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either, where values can leave a window: fewer may add up to more, or to less."""
        return EITHER_RESULT if self.computation.is_sliding else NO_RESULT

    def extractor(self) -> Callable[[EventView], Summary]:
        """Return what gives the values of a matching event."""
        return self.computation.extractor()

    def merge_settled(self, one: Summary, other: Summary) -> Summary:
        """Return the values, or the totals, of both."""
        return self.computation.merge_settled(one, other)

    def expire(self, summary: Summary, clock: int) -> Summary:
        """Leave out what has left the window for ever."""
        return self.computation.expire(summary, clock)

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Compare the result with the wanted value."""
        return self._predicate(self.computation.value(summary, clock))

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Return when a value leaves the window and with it the answer changes."""
        return self.evaluate(summary, clock)[1]

    @cached_property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """What tells both by the value."""
        return self.computation.compile_predicate(self._predicate)

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Return the result."""
        result = self.computation.value(summary, clock)
        return {"result": None if result is None else to_json_number(result)}

    @cached_property
    def _predicate(self) -> Callable[[ExactNumber | None], bool]:
        return self.aggregate.compile()
