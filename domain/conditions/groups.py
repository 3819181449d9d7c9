"""Groups: all, any or none of several conditions hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

from domain.conditions.base import Condition, EvaluationInput, EvaluationResult, ParsePart
from domain.conditions.composite import CompositeCondition
from domain.conditions.parsing import invalid_condition


class ConditionGroup(
    CompositeCondition, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Several conditions combined into one result."""

    DECISIVE_RESULT: ClassVar[bool]
    """The result of a part that decides the group, whatever the other parts give."""

    GROUP_RESULT: ClassVar[bool]
    """The result of a decided group; an undecided one has the opposite."""

    @classmethod
    def parse(cls, document: Any, pointer: str, parse_part: ParsePart) -> Self:
        """Parses a list of conditions."""
        parts = document[cls.KEY]
        if not isinstance(parts, list) or len(document) > 1:
            raise invalid_condition(
                pointer, f"`{cls.KEY}` takes a list of conditions and no other member"
            )
        return cls(
            tuple(
                parse_part(part, f"{pointer}/{cls.KEY}/{index}") for index, part in enumerate(parts)
            )
        )

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions of the group: its only field."""
        parts: tuple[Condition, ...] = getattr(self, self.KEY)
        return parts

    def with_parts(self, parts: Sequence[Condition]) -> Self:
        """Returns a group of other conditions."""
        return type(self)(tuple(parts))

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Evaluates the parts until one decides."""
        is_decided = any(part.holds(inputs, clock) == self.DECISIVE_RESULT for part in self.parts)
        return is_decided == self.GROUP_RESULT

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Returns when all decisive parts may have changed, or any part if none is decisive."""
        return self.compile()(inputs, clock)[1]

    def compile(self) -> Callable[[EvaluationInput, int], EvaluationResult]:
        """Returns a function that evaluates parts once each, up to one that decides for good."""
        parts = [part.compile() for part in self.parts]
        decisive, decided = self.DECISIVE_RESULT, self.GROUP_RESULT

        def evaluate(inputs: EvaluationInput, clock: int) -> EvaluationResult:
            is_decided, decided_until, changes_at = False, 0, None
            for part in parts:
                holds, at = part(inputs, clock)
                if holds == decisive:
                    if at is None:
                        return decided, None
                    is_decided, decided_until = True, max(decided_until, at) if is_decided else at
                elif at is not None and (changes_at is None or at < changes_at):
                    changes_at = at
            return (decided, decided_until) if is_decided else (not decided, changes_at)

        return evaluate

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Returns the explanation of each part."""
        return {"parts": [part.explain(inputs, clock) for part in self.parts]}


class AllOf(ConditionGroup, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of the conditions hold; true for an empty list."""

    KEY: ClassVar[str] = "all"
    EXAMPLES = (
        {
            "all": [
                {"attribute": "plan", "op": "eq", "value": "pro"},
                {"none": [{"segment": "churned"}]},
            ]
        },
    )
    DECISIVE_RESULT: ClassVar[bool] = False
    GROUP_RESULT: ClassVar[bool] = False

    all: tuple[Condition, ...]


class AnyOf(ConditionGroup, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At least one of the conditions holds."""

    KEY: ClassVar[str] = "any"
    EXAMPLES = (
        {"any": [{"tag": "vip"}, {"attribute": "lifetime_value", "op": "gte", "value": 1000}]},
    )
    DECISIVE_RESULT: ClassVar[bool] = True
    GROUP_RESULT: ClassVar[bool] = True

    any: tuple[Condition, ...]


class NoneOf(ConditionGroup, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """None of the conditions holds."""

    KEY: ClassVar[str] = "none"
    EXAMPLES = ({"none": [{"event": "Order Completed", "within": {"last": "90d"}}]},)
    DECISIVE_RESULT: ClassVar[bool] = True
    GROUP_RESULT: ClassVar[bool] = False

    none: tuple[Condition, ...]

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Returns whether a part can flip to the opposite of the result."""
        return super().can_flip_to(not result, key, size)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """The opposites of the results that the parts can flip to."""
        return frozenset(not result for result in super().flips_with_time)
