"""Conditions on people: what a segment, an audience or a trigger asks.

A new kind is one class in one of the modules here, and its name in CONDITIONS.
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
"""Every kind, in the order in which their members are looked for."""

MAX_DEPTH = 20
"""Deepest nesting of groups."""


def parse_condition(document: Any, *, allow_references: bool = False) -> Condition:
    """Return the condition that a JSON document spells.

    ``by_name`` says that the caller knows what the names of computed attributes stand for, and will have
    them `resolved` before it asks.  Raises InvalidRequest with the place, as a JSON pointer, and what to
    write there.
    """
    condition = _parse(document, "", 0)
    if not allow_references and (named := referenced_names(condition)):
        name, place = next(iter(named.items()))
        raise InvalidRequest(
            f"write here what {name!r} is; only segments ask about computed attributes by name",
            path=place,
        )
    return condition


def _parse(document: Any, pointer: str, depth: int) -> Condition:
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"conditions are nested deeper than {MAX_DEPTH}", path=pointer)
    kind = _condition_class(document, pointer)
    if issubclass(kind, ConditionGroup):
        return _parse_group(kind, document, pointer, depth)
    if kind is ScoreCondition:
        return _parse_score(document, pointer, depth)
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise InvalidRequest(f"{error} (in a condition with `{kind.KEY}`)", path=pointer) from None


def _parse_group(
    kind: type[ConditionGroup], document: dict[str, Any], pointer: str, depth: int
) -> Condition:
    parts = document[kind.KEY]
    if not isinstance(parts, list) or len(document) > 1:
        raise InvalidRequest(
            f"`{kind.KEY}` takes a list of conditions and nothing else", path=pointer
        )
    read_each = (
        _parse(part, f"{pointer}/{kind.KEY}/{at}", depth + 1) for at, part in enumerate(parts)
    )
    return kind(tuple(read_each))


def _parse_score(document: dict[str, Any], pointer: str, depth: int) -> Condition:
    scored = []
    parts = document[ScoreCondition.KEY]
    for at, part in enumerate(parts if isinstance(parts, list) else [None]):
        if not isinstance(part, dict) or part.keys() != {"when", "points"}:
            raise InvalidRequest("`score` takes a list of {when, points}", path=pointer)
        when = _parse(part["when"], f"{pointer}/{ScoreCondition.KEY}/{at}/when", depth + 1)
        scored.append((when, part["points"]))
    try:
        known = tuple(
            ScoreTerm(when, msgspec.convert(points, int | float)) for when, points in scored
        )
        rest = {name: it for name, it in document.items() if name != ScoreCondition.KEY}
        compared = msgspec.convert(rest | {ScoreCondition.KEY: []}, ScoreCondition)
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise InvalidRequest(f"{error} (in a condition with `score`)", path=pointer) from None
    return ScoreCondition(known, compared.op, compared.value)


def _condition_class(document: Any, pointer: str) -> type[Condition]:
    if isinstance(document, dict):
        for kind in CONDITIONS:
            if kind.KEY in document and _accepts_value(kind, document[kind.KEY]):
                return kind
    raise InvalidRequest(
        f"a condition is an object with one of {', '.join(dict.fromkeys(it.KEY for it in CONDITIONS))}",
        path=pointer,
    )


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
