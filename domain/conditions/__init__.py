"""Conditions on profiles: what segments, audiences and triggers evaluate.

A new kind is one class in a module of this package, and its name in `CONDITIONS`.  `Condition` states
what it implements; on what a profile did, `Leaf` does.
"""

from __future__ import annotations

from typing import Any

from domain.conditions.aggregate_condition import AggregateCondition
from domain.conditions.base import Condition, EvaluationInput, Leaf, ProfileFacts
from domain.conditions.computed import ComputedCondition, ScoreCondition
from domain.conditions.events import EventCountCondition, OccurrenceCondition
from domain.conditions.groups import AllOf, AnyOf, NoneOf
from domain.conditions.parsing import invalid_condition
from domain.conditions.profile_facts import (
    AttributeCondition,
    IdentifierCondition,
    SegmentCondition,
    TagCondition,
)
from domain.conditions.references import (
    ComputedReference,
    ReferencedValue,
    ScoreReference,
    referenced_names,
    referenced_segments,
)
from domain.conditions.sequences import SequenceCondition
from domain.conditions.summary import EventView

CONDITIONS: tuple[type[Condition], ...] = (
    AllOf,
    AnyOf,
    NoneOf,
    SequenceCondition,
    AggregateCondition,
    ComputedReference,
    ComputedCondition,
    ScoreReference,
    ScoreCondition,
    OccurrenceCondition,
    EventCountCondition,
    AttributeCondition,
    TagCondition,
    IdentifierCondition,
    SegmentCondition,
)
"""Every kind, in the order in which `parse_condition` looks for its member `KEY`."""

MAX_DEPTH = 20
"""Deepest nesting of groups."""


def parse_condition(document: Any, *, allow_references: bool = False) -> Condition:
    """Returns the condition that a JSON document defines.

    ``allow_references`` permits computed attributes by name; the caller resolves them before
    evaluation: see `Condition.resolve`.  Raises InvalidRequest with the condition's JSON pointer in `details.path`.
    """
    condition = _parse(document, "", 0)
    if not allow_references and (pointers := referenced_names(condition)):
        name, pointer = next(iter(pointers.items()))
        raise invalid_condition(
            pointer,
            f"define {name!r} inline; computed attributes can be referenced by name only in segments",
        )
    return condition


def _parse(document: Any, pointer: str, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise invalid_condition(pointer, f"groups are nested deeper than {MAX_DEPTH}")
    if isinstance(document, dict):
        for kind in CONDITIONS:
            if kind.accepts(document):
                return kind.parse(
                    document,
                    pointer,
                    lambda part, part_pointer: _parse(part, part_pointer, depth + 1),
                )
    members = ", ".join(dict.fromkeys(kind.KEY for kind in CONDITIONS))
    raise invalid_condition(pointer, f"a condition is an object with one of the members {members}")


__all__ = [
    "CONDITIONS",
    "Condition",
    "EvaluationInput",
    "EventView",
    "Leaf",
    "ProfileFacts",
    "ReferencedValue",
    "parse_condition",
    "referenced_names",
    "referenced_segments",
]
