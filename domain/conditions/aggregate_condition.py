"""Conditions on the sum, average, minimum, maximum or distinct count of a property."""

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
from domain.conditions.schema_fragments import NUMBER_OPERAND
from domain.conditions.summary import EventView, Summary
from domain.conditions.values import Comparison, ExactNumber
from domain.conditions.windows import TimeWindow
from domain.core import paths
from domain.core.errors import InvalidRequest


class AggregateSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function of the values at a path, and the number it is compared with."""

    SCHEMA = NUMBER_OPERAND

    fn: Literal["sum", "avg", "min", "max", "distinct"]
    path: str
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        paths.parse(self.path)
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest(
                "the value of an aggregate must be a number, or [low, high] for `between`"
            )

    def compile(self) -> Callable[[ExactNumber | None], bool]:
        """Returns the test of a result; a missing result never passes."""
        compare = compile_number_comparison(self.op, self.value)
        return lambda result: result is not None and compare(result)


class AggregateCondition(Leaf, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Compares an aggregate of a property over the profile's events, ever or within a window.

    Sums are exact, so the order of events cannot change them.
    """

    KEY: ClassVar[str] = "aggregate"
    EXAMPLES = (
        {
            "event": "order",
            "aggregate": {"fn": "sum", "path": "properties.total", "op": "gte", "value": 500},
            "within": {"last": "90d"},
        },
    )

    event: EventName
    aggregate: AggregateSpec
    within: TimeWindow | None = None
    where: tuple[Comparison, ...] = ()

    @cached_property
    def key(self) -> str:
        """The summary's key, the same as that of an equal computed attribute."""
        return self.computation.condition_key

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return (self.event,)

    @cached_property
    def computation(self) -> Computation:
        """The equivalent computed attribute."""
        spec = self.aggregate
        return Computation(spec.fn, self.event, spec.path, self.within, self.where)

    def count_can_flip(self, result: bool, size: int) -> bool:  # noqa: ARG002 - depends on the values, not on their number
        """`distinct` and `max` only grow with more events; a sum can shrink by negative values."""
        grows = self.aggregate.fn in {"distinct", "max"} and self.aggregate.op in {"gt", "gte"}
        return result or not grows

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either result for a moving window: fewer values may give a larger or a smaller result."""
        return EITHER_RESULT if self.computation.is_sliding else NO_RESULT

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives the values of a matching event."""
        return self.computation.extractor()

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the values, or the total, of both."""
        return self.computation.merge_settled(left, right)

    def expire(self, summary: Summary, clock: int) -> Summary:
        """Drops the values that have left the window."""
        return self.computation.expire(summary, clock)

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Compares the result, without computing when it changes."""
        return self._predicate(self.computation.value(summary, clock))

    @cached_property
    def evaluate(self) -> Callable[[Summary, int], EvaluationResult]:
        """Compares the result; it changes when a value that decides it leaves the window."""
        return self.computation.compile_predicate(self._predicate)

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Returns the result."""
        result = self.computation.value(summary, clock)
        return {"result": None if result is None else to_json_number(result)}

    @cached_property
    def _predicate(self) -> Callable[[ExactNumber | None], bool]:
        return self.aggregate.compile()
