"""Conditions on what is defined by itself, under a name: computed attributes and scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from domain.conditions.base import Condition
from domain.conditions.computed import Computed, Score, Scored
from domain.conditions.groups import Group
from domain.conditions.totals import NumberOperator, is_compared
from domain.conditions.values import Operator, check
from domain.core.errors import InvalidRequest

Value = Computed | Score
"""What a name stands for; how it is compared does not matter."""


class ComputedByName(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The computed attribute of that name compares like this, as it is defined by then.

    It is never asked itself: see `resolved`.
    """

    KEY: ClassVar[str] = Computed.KEY

    computed: str
    op: Operator
    value: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        check(self.op, self.value)

    @property
    def name(self) -> str:
        """What it asks about."""
        return self.computed

    def of(self, value: Value) -> Condition | None:
        """Return the same of what the name stands for; None if that is of the other kind."""
        if not isinstance(value, Computed):
            return None
        return Computed(value.computed, self.op, self.value)


class ScoreByName(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The score of that name compares like this, as it is defined by then; see `resolved`, too."""

    KEY: ClassVar[str] = Score.KEY

    score: str
    op: NumberOperator
    value: Any

    def __post_init__(self) -> None:
        if not is_compared(self.op, self.value):
            raise InvalidRequest("a score is compared with a number; `between` with [low, high]")

    @property
    def name(self) -> str:
        """What it asks about."""
        return self.score

    def of(self, value: Value) -> Condition | None:
        """Return the same of what the name stands for; None if that is of the other kind."""
        return Score(value.score, self.op, self.value) if isinstance(value, Score) else None


ByName = ComputedByName | ScoreByName


def names(condition: Condition, place: str = "") -> dict[str, str]:
    """Return which computed attributes it asks about by name, each with a place: a JSON pointer."""
    if isinstance(condition, ByName):
        return {condition.name: place}
    found: dict[str, str] = {}
    for where, part in parts(condition, place):
        found = names(part, where) | found
    return found


def parts(condition: Condition, place: str = "") -> list[tuple[str, Condition]]:
    """Return the parts of a condition, each with its place."""
    end = "/when" if isinstance(condition, Score) else ""
    return [(f"{place}/{condition.KEY}/{at}{end}", it) for at, it in enumerate(condition.parts)]


def resolved(condition: Condition, values: Mapping[str, Value], place: str = "") -> Condition:
    """Return the condition with what each name in it stands for; the values are resolved themselves.

    Raises InvalidRequest for a name that stands for nothing, or for something of the other kind.
    """
    if isinstance(condition, ByName):
        value = values.get(condition.name)
        found = None if value is None else condition.of(value)
        if found is None:
            kind = "score" if isinstance(condition, ScoreByName) else "computed attribute"
            raise InvalidRequest(
                f"there is no {kind} {condition.name!r}", path=place, missing=condition.name
            )
        return found
    if not condition.parts:
        return condition
    new = tuple(resolved(it, values, where) for where, it in parts(condition, place))
    if isinstance(condition, Score):
        points = (it.points for it in condition.score)
        return Score(tuple(map(Scored, new, points)), condition.op, condition.value)
    assert isinstance(condition, Group)
    return type(condition)(new)
