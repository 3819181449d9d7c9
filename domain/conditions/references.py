"""Conditions on what is defined by itself, under a name: computed attributes and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from domain.conditions.aggregation import NumberOperator, is_number_comparison
from domain.conditions.base import Condition
from domain.conditions.computed import ComputedCondition, ScoreCondition, ScoreTerm
from domain.conditions.groups import ConditionGroup
from domain.conditions.values import Operator, check_operand
from domain.core.errors import InvalidRequest

ReferencedValue = ComputedCondition | ScoreCondition
"""What a name stands for; how it is compared does not matter."""


class ComputedReference(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The computed attribute of that name compares like this, as it is defined by then.

    It is never asked itself: see `resolved`.
    """

    KEY: ClassVar[str] = ComputedCondition.KEY

    computed: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)

    @property
    def name(self) -> str:
        """What it asks about."""
        return self.computed

    def bind(self, value: ReferencedValue) -> Condition | None:
        """Return the same of what the name stands for; None if that is of the other kind."""
        if not isinstance(value, ComputedCondition):
            return None
        return ComputedCondition(value.computed, self.op, self.value)


class ScoreReference(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The score of that name compares like this, as it is defined by then; see `resolved`, too."""

    KEY: ClassVar[str] = ScoreCondition.KEY

    score: str
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest("a score is compared with a number; `between` with [low, high]")

    @property
    def name(self) -> str:
        """What it asks about."""
        return self.score

    def bind(self, value: ReferencedValue) -> Condition | None:
        """Return the same of what the name stands for; None if that is of the other kind."""
        return (
            ScoreCondition(value.score, self.op, self.value)
            if isinstance(value, ScoreCondition)
            else None
        )


NamedReference = ComputedReference | ScoreReference


def referenced_names(condition: Condition, pointer: str = "") -> dict[str, str]:
    """Return which computed attributes it asks about by name, each with a place: a JSON pointer."""
    if isinstance(condition, NamedReference):
        return {condition.name: pointer}
    found: dict[str, str] = {}
    for where, part in located_parts(condition, pointer):
        found = referenced_names(part, where) | found
    return found


def located_parts(condition: Condition, pointer: str = "") -> list[tuple[str, Condition]]:
    """Return the parts of a condition, each with its place."""
    end = "/when" if isinstance(condition, ScoreCondition) else ""
    return [(f"{pointer}/{condition.KEY}/{at}{end}", it) for at, it in enumerate(condition.parts)]


def resolve_references(
    condition: Condition, values: Mapping[str, ReferencedValue], pointer: str = ""
) -> Condition:
    """Return the condition with what each name in it stands for; the values are resolved themselves.

    Raises InvalidRequest for a name that stands for nothing, or for something of the other kind.
    """
    if isinstance(condition, NamedReference):
        value = values.get(condition.name)
        found = None if value is None else condition.bind(value)
        if found is None:
            kind = "score" if isinstance(condition, ScoreReference) else "computed attribute"
            raise InvalidRequest(
                f"there is no {kind} {condition.name!r}", path=pointer, missing=condition.name
            )
        return found
    if not condition.parts:
        return condition
    new = tuple(
        resolve_references(it, values, where) for where, it in located_parts(condition, pointer)
    )
    if isinstance(condition, ScoreCondition):
        points = (it.points for it in condition.score)
        return ScoreCondition(tuple(map(ScoreTerm, new, points)), condition.op, condition.value)
    assert isinstance(condition, ConditionGroup)
    return type(condition)(new)
