"""Conditions on computed attributes and on scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Self, get_args

import msgspec

from domain.conditions.aggregation import (
    NumberOperator,
    compile_number_comparison,
    is_number_comparison,
    to_exact,
    to_json_number,
)
from domain.conditions.base import (
    EITHER_RESULT,
    NO_RESULT,
    Condition,
    EvaluationInput,
    Leaf,
    ParsePart,
    earlier,
)
from domain.conditions.composite import CompositeCondition
from domain.conditions.computation import Computation
from domain.conditions.event_names import EventName
from domain.conditions.parsing import convert, invalid_condition
from domain.conditions.schema_fragments import INSTANT_OR_AGO, NUMBER_OPERAND, operand_rules
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
    """Compares a computed attribute; the negative operators hold if it has no value."""

    KEY: ClassVar[str] = "computed"
    EXAMPLES = (
        {
            "computed": {"fn": "last", "event": "order", "path": "properties.shop"},
            "op": "eq",
            "value": "Split",
        },
    )
    SCHEMA = operand_rules(get_args(Operator), INSTANT_OR_AGO)

    computed: Computation
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)

    @cached_property
    def key(self) -> str:
        """The summary's key: the same for every comparison of the attribute."""
        return self.computed.condition_key

    @property
    def events(self) -> tuple[EventName, ...]:
        """The one event's name."""
        return self.computed.events

    def extractor(self) -> Callable[[EventView], Summary]:
        """Returns a function that gives the values of a matching event."""
        return self.computed.extractor()

    def merge_settled(self, left: Summary, right: Summary) -> Summary:
        """Returns the values, or the total, of both."""
        return self.computed.merge_settled(left, right)

    def expire(self, summary: Summary, clock: int) -> Summary:
        """Drops the values that have left the window."""
        return self.computed.expire(summary, clock)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either result if values can leave a window, or the value is a time relative to the clock."""
        return (
            EITHER_RESULT if self.computed.is_sliding or is_relative_time(self.value) else NO_RESULT
        )

    def result(self, inputs: EvaluationInput, clock: int) -> Any:
        """Returns the value as JSON; None: no value."""
        summary, _ = self.as_of(inputs.summaries.get(self.key), clock)
        value = self.computed.value(summary, clock)
        return to_json_number(value) if isinstance(value, EXACT_TYPES) else value

    def holds_for_summary(self, summary: Summary, clock: int) -> bool:
        """Compares the value."""
        return self._predicate(clock)(self.computed.value(summary, clock))

    def summary_changes_at(self, summary: Summary, clock: int) -> int | None:
        """Returns when a value leaves the window, or the clock passes the compared time."""
        if not is_relative_time(self.value):
            return self.computed.predicate_changes_at(summary, clock, self._predicate(clock))
        value = self.computed.value(summary, clock)
        return earlier(
            next_flip_at(self.op, self.value, (value,), clock),
            self.computed.changes_at(summary, clock),
        )

    def summary_evidence(self, summary: Summary, clock: int) -> Mapping[str, Any]:
        """Returns the value."""
        value = self.computed.value(summary, clock)
        return {"result": to_json_number(value) if isinstance(value, EXACT_TYPES) else value}

    def _predicate(self, clock: int) -> Callable[[Any], bool]:
        test_json = compile_operator(self.op, self.value, clock)
        test_exact = compile_operator(self.op, _exact_operand(self.value), clock)
        is_negative = self.op in OPPOSITES

        def holds(value: Any) -> bool:
            test = test_exact if isinstance(value, EXACT_TYPES) else test_json
            return (value is not None and test(value)) != is_negative

        return holds


def _exact_operand(value: Any) -> Any:
    if isinstance(value, list):
        return [_exact_operand(element) for element in value]
    return to_exact(value) if is_number(value) else value


class ScoreTerm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition and the points that it gives while it holds, which may be negative."""

    when: Condition
    points: int | float

    def __post_init__(self) -> None:
        if not is_number(self.points):
            raise InvalidRequest("`points` must be a number")


class ScoreCondition(
    CompositeCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Compares a score: the sum of the points of the conditions that hold."""

    KEY: ClassVar[str] = "score"
    EXAMPLES = ({"score": [{"when": {"tag": "vip"}, "points": 10}], "op": "gte", "value": 10},)
    SCHEMA = NUMBER_OPERAND
    PART_SUFFIX: ClassVar[str] = "/when"

    score: tuple[ScoreTerm, ...]
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest(
                "the value of a score must be a number, or [low, high] for `between`"
            )

    @classmethod
    def parse(cls, document: Any, pointer: str, parse_part: ParsePart) -> Self:
        """Parses the terms, and what their sum is compared with."""
        terms, parts = [], document[cls.KEY]
        for index, part in enumerate(parts if isinstance(parts, list) else [None]):
            if not isinstance(part, dict) or part.keys() != {"when", "points"}:
                raise invalid_condition(pointer, "`score` takes a list of {when, points}")
            term = f"{pointer}/{cls.KEY}/{index}"
            when = parse_part(part["when"], term + cls.PART_SUFFIX)
            try:
                terms.append(ScoreTerm(when, msgspec.convert(part["points"], int | float)))
            except (msgspec.ValidationError, InvalidRequest):
                raise invalid_condition(
                    pointer, "`points` must be a number", f"{term}/points"
                ) from None
        comparison = convert(document | {cls.KEY: []}, cls, pointer)
        return msgspec.structs.replace(comparison, score=tuple(terms))

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions that give points."""
        return tuple(term.when for term in self.score)

    def with_parts(self, parts: Sequence[Condition]) -> Self:
        """Returns the same points for other conditions."""
        points = (term.points for term in self.score)
        return msgspec.structs.replace(self, score=tuple(map(ScoreTerm, parts, points)))

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Returns whether a condition can flip either way: points may be negative."""
        part_can_flip_to = super().can_flip_to
        return part_can_flip_to(result, key, size) or part_can_flip_to(not result, key, size)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """Either result if a condition can flip: points may be negative."""
        return EITHER_RESULT if super().flips_with_time else NO_RESULT

    def total_points(self, inputs: EvaluationInput, clock: int) -> Fraction:
        """Returns the score, exact."""
        points = (
            Fraction(to_exact(term.points)) for term in self.score if term.when.holds(inputs, clock)
        )
        return sum(points, Fraction(0))

    def result(self, inputs: EvaluationInput, clock: int) -> Any:
        """Returns the score as JSON."""
        return to_json_number(self.total_points(inputs, clock))

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Compares the score."""
        return compile_number_comparison(self.op, self.value)(self.total_points(inputs, clock))

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Returns when the first of the conditions may change."""
        times = [at for part in self.parts if (at := part.changes_at(inputs, clock)) is not None]
        return min(times, default=None)

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Returns the score and the explanation of each condition."""
        return {
            "result": to_json_number(self.total_points(inputs, clock)),
            "parts": [part.explain(inputs, clock) for part in self.parts],
        }
