"""All, any or none of several conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from domain.conditions.base import Condition, EvaluationInput, EvaluationResult


class ConditionGroup(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Several conditions taken together."""

    DECISIVE_RESULT: ClassVar[bool]
    """The answer of a part by which the whole is decided, whatever the others say."""

    GROUP_RESULT: ClassVar[bool]
    """What the whole is then; else the opposite."""

    def holds(self, inputs: EvaluationInput, clock: int) -> bool:
        """Ask each, until it is clear."""
        found = any(it.holds(inputs, clock) == self.DECISIVE_RESULT for it in self.parts)
        return found == self.GROUP_RESULT

    def changes_at(self, inputs: EvaluationInput, clock: int) -> int | None:
        """Return when each that decides may have changed; or any, if none does."""
        return self.compile()(inputs, clock)[1]

    def compile(self) -> Callable[[EvaluationInput, int], EvaluationResult]:
        """Return what tells both, asking each part once; none after one that decides for good."""
        parts = [it.compile() for it in self.parts]
        decided_by, decided = self.DECISIVE_RESULT, self.GROUP_RESULT

        def answer(known: EvaluationInput, clock: int) -> EvaluationResult:
            is_decided, until, changes = False, 0, None
            for part in parts:
                holds, at = part(known, clock)
                if holds == decided_by:
                    if at is None:
                        return decided, None
                    is_decided, until = True, max(until, at) if is_decided else at
                elif at is not None and (changes is None or at < changes):
                    changes = at
            return (decided, until) if is_decided else (not decided, changes)

        return answer

    def evidence(self, inputs: EvaluationInput, clock: int) -> Mapping[str, Any]:
        """Return the explanation of each."""
        return {"parts": [it.explain(inputs, clock) for it in self.parts]}


class AllOf(ConditionGroup, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every one of them holds; of none at all that is true."""

    KEY: ClassVar[str] = "all"
    DECISIVE_RESULT: ClassVar[bool] = False
    GROUP_RESULT: ClassVar[bool] = False

    all: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.all


class AnyOf(ConditionGroup, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At least one of them holds."""

    KEY: ClassVar[str] = "any"
    DECISIVE_RESULT: ClassVar[bool] = True
    GROUP_RESULT: ClassVar[bool] = True

    any: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.any


class NoneOf(ConditionGroup, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Not one of them holds."""

    KEY: ClassVar[str] = "none"
    DECISIVE_RESULT: ClassVar[bool] = True
    GROUP_RESULT: ClassVar[bool] = False

    none: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.none

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Say whether one of the conditions can become the opposite."""
        return super().can_flip_to(not result, key, size)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """The opposites of what the conditions turn into."""
        return frozenset(not it for it in super().flips_with_time)
