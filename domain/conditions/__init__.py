"""Conditions on profiles: what segments, audiences and triggers evaluate.

A new kind is one class in a module of this package, and its name in `CONDITIONS`.  A condition on
what a profile did subclasses `Leaf`, which lists what to implement; any other subclasses `Condition`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain.conditions.aggregate_condition import AggregateCondition
from domain.conditions.base import CompiledCondition, Condition, EvaluationInput, Leaf, ProfileFacts
from domain.conditions.computed import ComputedCondition, ScoreCondition, ScoreTerm
from domain.conditions.events import EventCountCondition, OccurrenceCondition
from domain.conditions.groups import AllOf, AnyOf, ConditionGroup, NoneOf
from domain.conditions.profile_facts import (
    AttributeCondition,
    IdentifierCondition,
    SegmentCondition,
    TagCondition,
)
from domain.conditions.references import (
    ComputedReference,
    NamedReference,
    ReferencedValue,
    ScoreReference,
    located_parts,
    referenced_names,
    resolve_references,
)
from domain.conditions.sequences import SequenceCondition
from domain.conditions.summary import EventView
from domain.core.errors import InvalidRequest
from domain.core.validation import locate_problem

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

    ``allow_references`` permits computed attributes by name; the caller applies `resolve_references`
    before evaluation.  Raises InvalidRequest with the condition's JSON pointer in `details.path`.
    """
    condition = _parse(document, "", 0)
    if not allow_references and (pointers := referenced_names(condition)):
        name, pointer = next(iter(pointers.items()))
        raise _invalid(
            pointer,
            f"define {name!r} inline; computed attributes can be referenced by name only in segments",
        )
    return condition


def _invalid(pointer: str, problem: str, location: str | None = None) -> InvalidRequest:
    """Returns the error of a condition; ``location`` is a JSON pointer within it."""
    where = location or pointer
    return InvalidRequest(
        f"the condition{f' at {where}' if where else ''} is not valid: {problem}", path=pointer
    )


def _parse(document: Any, pointer: str, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise _invalid(pointer, f"groups are nested deeper than {MAX_DEPTH}")
    kind = _condition_class(document, pointer)
    if issubclass(kind, ConditionGroup):
        return _parse_group(kind, document, pointer, depth)
    if kind is ScoreCondition:
        return _parse_score(document, pointer, depth)
    return _convert(document, kind, pointer)


def _convert(document: Any, kind: type[Condition], pointer: str) -> Condition:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        location, problem = locate_problem(error, kind, pointer)
        raise _invalid(pointer, problem, location) from None
    except InvalidRequest as error:
        raise _invalid(pointer, str(error)) from None


def _parse_group(
    kind: type[ConditionGroup], document: dict[str, Any], pointer: str, depth: int
) -> Condition:
    parts = document[kind.KEY]
    if not isinstance(parts, list) or len(document) > 1:
        raise _invalid(pointer, f"`{kind.KEY}` takes a list of conditions and no other member")
    return kind(
        tuple(
            _parse(part, f"{pointer}/{kind.KEY}/{index}", depth + 1)
            for index, part in enumerate(parts)
        )
    )


def _parse_score(document: dict[str, Any], pointer: str, depth: int) -> Condition:
    terms = []
    parts = document[ScoreCondition.KEY]
    for index, part in enumerate(parts if isinstance(parts, list) else [None]):
        if not isinstance(part, dict) or part.keys() != {"when", "points"}:
            raise _invalid(pointer, "`score` takes a list of {when, points}")
        term_pointer = f"{pointer}/{ScoreCondition.KEY}/{index}"
        when = _parse(part["when"], f"{term_pointer}/when", depth + 1)
        try:
            terms.append(ScoreTerm(when, msgspec.convert(part["points"], int | float)))
        except (msgspec.ValidationError, InvalidRequest):
            raise _invalid(pointer, "`points` must be a number", f"{term_pointer}/points") from None
    comparison = _convert(document | {ScoreCondition.KEY: []}, ScoreCondition, pointer)
    assert isinstance(comparison, ScoreCondition)
    return ScoreCondition(tuple(terms), comparison.op, comparison.value)


def _condition_class(document: Any, pointer: str) -> type[Condition]:
    if isinstance(document, dict):
        for kind in CONDITIONS:
            if kind.KEY in document and _accepts_value(kind, document[kind.KEY]):
                return kind
    members = ", ".join(dict.fromkeys(kind.KEY for kind in CONDITIONS))
    raise _invalid(pointer, f"a condition is an object with one of the members {members}")


def _accepts_value(kind: type[Condition], value: Any) -> bool:
    return not issubclass(kind, NamedReference) or isinstance(value, str)


__all__ = [
    "CONDITIONS",
    "CompiledCondition",
    "Condition",
    "EvaluationInput",
    "EventView",
    "Leaf",
    "ProfileFacts",
    "ReferencedValue",
    "located_parts",
    "parse_condition",
    "referenced_names",
    "resolve_references",
]
