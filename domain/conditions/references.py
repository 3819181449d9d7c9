"""References to computed attributes and scores by name, and to segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from domain.conditions.aggregation import NumberOperator, is_number_comparison
from domain.conditions.base import COMPUTED_ATTRIBUTE, SCORE, SEGMENT, Condition, Reference
from domain.conditions.computed import ComputedCondition, ScoreCondition
from domain.conditions.values import Operator, check_operand
from domain.core.errors import InvalidRequest

ReferencedValue = ComputedCondition | ScoreCondition
"""The definition that a name refers to; its comparison is ignored."""


class NamedReference(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Compares the value that a name stands for, as defined at the time.

    Never evaluated itself: `resolve` replaces it by the condition with the same `KEY`, of which it has
    the comparison.
    """

    KIND: ClassVar[str]
    """`COMPUTED_ATTRIBUTE` or `SCORE`."""

    @classmethod
    def accepts(cls, document: Mapping[str, Any]) -> bool:
        """Returns whether the member is a name, not a definition."""
        return isinstance(document.get(cls.KEY), str)

    @property
    def reference(self) -> Reference:
        """The computed attribute or the score."""
        return Reference(self.KIND, getattr(self, self.KEY))

    def resolve(self, values: Mapping[str, Condition], pointer: str = "") -> Condition:
        """Returns the same comparison of the definition."""
        _, name = self.reference
        value = values.get(name)
        if value is None or value.KEY != self.KEY:
            raise InvalidRequest(f"there is no {self.KIND} {name!r}", path=pointer, missing=name)
        comparison = msgspec.structs.asdict(self)
        del comparison[self.KEY]
        return msgspec.structs.replace(value, **comparison)


class ComputedReference(
    NamedReference, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Compares the computed attribute of a name, as defined at the time."""

    KEY: ClassVar[str] = ComputedCondition.KEY
    KIND: ClassVar[str] = COMPUTED_ATTRIBUTE
    EXAMPLES = ({"computed": "orders_30d", "op": "gte", "value": 3},)
    SCHEMA = ComputedCondition.SCHEMA

    computed: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check_operand(self.op, self.value)


class ScoreReference(NamedReference, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Compares the score of a name, as defined at the time."""

    KEY: ClassVar[str] = ScoreCondition.KEY
    KIND: ClassVar[str] = SCORE
    EXAMPLES = ({"score": "engagement", "op": "gte", "value": 15},)
    SCHEMA = ScoreCondition.SCHEMA

    score: str
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_number_comparison(self.op, self.value):
            raise InvalidRequest(
                "the value of a score must be a number, or [low, high] for `between`"
            )


def located_references(condition: Condition, pointer: str = "") -> Iterator[tuple[str, Reference]]:
    """Yields all references of a condition, each with the JSON pointer of what refers."""
    if condition.reference is not None:
        yield pointer, condition.reference
    for part_pointer, part in zip(condition.part_pointers(pointer), condition.parts, strict=True):
        yield from located_references(part, part_pointer)


def reference_pointers(condition: Condition, *kinds: str) -> dict[str, str]:
    """Returns the names that a condition refers to, each with the pointer of one reference.

    ``kinds`` are those of `Reference.kind` that count.
    """
    pointers: dict[str, str] = {}
    for pointer, (kind, name) in located_references(condition):
        if kind in kinds:
            pointers.setdefault(name, pointer)
    return pointers


def referenced_names(condition: Condition) -> dict[str, str]:
    """Returns the names of computed attributes and scores, each with one reference's pointer."""
    return reference_pointers(condition, COMPUTED_ATTRIBUTE, SCORE)


def referenced_segments(condition: Condition) -> frozenset[str]:
    """Returns the ids of the segments that a condition refers to."""
    return frozenset(reference_pointers(condition, SEGMENT))
