"""References to computed attributes and scores by name, and their resolution."""

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
"""The definition that a name refers to; its comparison is ignored."""


class ComputedReference(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Compares the computed attribute of a name, as defined at the time.

    Never evaluated itself: `resolve_references` replaces it.
    """

    KEY: ClassVar[str] = ComputedCondition.KEY

    computed: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)

    @property
    def name(self) -> str:
        """The name of the computed attribute."""
        return self.computed

    def bind(self, value: ReferencedValue) -> Condition | None:
        """Returns the same comparison of a computed attribute; None for a score."""
        if not isinstance(value, ComputedCondition):
            return None
        return ComputedCondition(value.computed, self.op, self.value)


class ScoreReference(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Compares the score of a name, as defined at the time.

    Never evaluated itself: `resolve_references` replaces it.
    """

    KEY: ClassVar[str] = ScoreCondition.KEY

    score: str
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest(
                "the value of a score must be a number, or [low, high] for `between`"
            )

    @property
    def name(self) -> str:
        """The name of the score."""
        return self.score

    def bind(self, value: ReferencedValue) -> Condition | None:
        """Returns the same comparison of a score; None for a computed attribute."""
        return (
            ScoreCondition(value.score, self.op, self.value)
            if isinstance(value, ScoreCondition)
            else None
        )


NamedReference = ComputedReference | ScoreReference


def referenced_names(condition: Condition, pointer: str = "") -> dict[str, str]:
    """Returns the names that a condition refers to, each with the JSON pointer of one reference."""
    if isinstance(condition, NamedReference):
        return {condition.name: pointer}
    pointers: dict[str, str] = {}
    for part_pointer, part in located_parts(condition, pointer):
        pointers = referenced_names(part, part_pointer) | pointers
    return pointers


def located_parts(condition: Condition, pointer: str = "") -> list[tuple[str, Condition]]:
    """Returns the parts of a condition, each with its JSON pointer."""
    suffix = "/when" if isinstance(condition, ScoreCondition) else ""
    return [
        (f"{pointer}/{condition.KEY}/{index}{suffix}", part)
        for index, part in enumerate(condition.parts)
    ]


def resolve_references(
    condition: Condition, values: Mapping[str, ReferencedValue], pointer: str = ""
) -> Condition:
    """Returns the condition with each reference replaced by its definition.

    ``values`` are free of references.  Raises InvalidRequest for a name that is not defined, or is a
    score where a computed attribute is expected, or the reverse.
    """
    if isinstance(condition, NamedReference):
        value = values.get(condition.name)
        resolved = None if value is None else condition.bind(value)
        if resolved is None:
            kind = "score" if isinstance(condition, ScoreReference) else "computed attribute"
            raise InvalidRequest(
                f"there is no {kind} {condition.name!r}", path=pointer, missing=condition.name
            )
        return resolved
    if not condition.parts:
        return condition
    parts = tuple(
        resolve_references(part, values, part_pointer)
        for part_pointer, part in located_parts(condition, pointer)
    )
    if isinstance(condition, ScoreCondition):
        points = (term.points for term in condition.score)
        return ScoreCondition(tuple(map(ScoreTerm, parts, points)), condition.op, condition.value)
    assert isinstance(condition, ConditionGroup)
    return type(condition)(parts)
