"""Conditions on people: what a segment, an audience or a trigger asks.

A new kind is one class in one of the modules here, and its name in CONDITIONS.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain.conditions.aggregates import Aggregated
from domain.conditions.base import Condition, Known, Leaf, Program, Told
from domain.conditions.computed import Computed, Score, Scored
from domain.conditions.events import Occurrence, Performed
from domain.conditions.groups import All, Any_, Group, None_
from domain.conditions.named import (
    ByName,
    ComputedByName,
    ScoreByName,
    Value,
    names,
    parts,
    resolved,
)
from domain.conditions.people import Attribute, InSegment, Named, Tagged
from domain.conditions.sequences import InOrder
from domain.conditions.summary import Happened
from domain.core.errors import InvalidRequest

CONDITIONS: tuple[type[Condition], ...] = (
    All,
    Any_,
    None_,
    InOrder,
    Aggregated,
    ComputedByName,
    Computed,
    ScoreByName,
    Score,
    Occurrence,
    Performed,
    Attribute,
    Tagged,
    Named,
    InSegment,
)
"""Every kind, in the order in which their members are looked for."""

DEPTH = 20
"""Deepest nesting of groups."""


def read(document: Any, *, by_name: bool = False) -> Condition:
    """Return the condition that a JSON document spells.

    ``by_name`` says that the caller knows what the names of computed attributes stand for, and will have
    them `resolved` before it asks.  Raises InvalidRequest with the place, as a JSON pointer, and what to
    write there.
    """
    condition = _read(document, "", 0)
    if not by_name and (named := names(condition)):
        name, place = next(iter(named.items()))
        raise InvalidRequest(
            f"write here what {name!r} is; only segments ask about computed attributes by name",
            path=place,
        )
    return condition


def _read(document: Any, place: str, depth: int) -> Condition:
    if depth > DEPTH:
        raise InvalidRequest(f"conditions are nested deeper than {DEPTH}", path=place)
    kind = _kind(document, place)
    if issubclass(kind, Group):
        return _group(kind, document, place, depth)
    if kind is Score:
        return _score(document, place, depth)
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise InvalidRequest(f"{error} (in a condition with `{kind.KEY}`)", path=place) from None


def _group(kind: type[Group], document: dict[str, Any], place: str, depth: int) -> Condition:
    parts = document[kind.KEY]
    if not isinstance(parts, list) or len(document) > 1:
        raise InvalidRequest(
            f"`{kind.KEY}` takes a list of conditions and nothing else", path=place
        )
    read_each = (
        _read(part, f"{place}/{kind.KEY}/{at}", depth + 1) for at, part in enumerate(parts)
    )
    return kind(tuple(read_each))


def _score(document: dict[str, Any], place: str, depth: int) -> Condition:
    scored = []
    parts = document[Score.KEY]
    for at, part in enumerate(parts if isinstance(parts, list) else [None]):
        if not isinstance(part, dict) or part.keys() != {"when", "points"}:
            raise InvalidRequest("`score` takes a list of {when, points}", path=place)
        when = _read(part["when"], f"{place}/{Score.KEY}/{at}/when", depth + 1)
        scored.append((when, part["points"]))
    try:
        known = tuple(Scored(when, msgspec.convert(points, int | float)) for when, points in scored)
        rest = {name: it for name, it in document.items() if name != Score.KEY}
        compared = msgspec.convert(rest | {Score.KEY: []}, Score)
    except (msgspec.ValidationError, InvalidRequest) as error:
        raise InvalidRequest(f"{error} (in a condition with `score`)", path=place) from None
    return Score(known, compared.op, compared.value)


def _kind(document: Any, place: str) -> type[Condition]:
    if isinstance(document, dict):
        for kind in CONDITIONS:
            if kind.KEY in document and _is_named(kind, document[kind.KEY]):
                return kind
    raise InvalidRequest(
        f"a condition is an object with one of {', '.join(dict.fromkeys(it.KEY for it in CONDITIONS))}",
        path=place,
    )


def _is_named(kind: type[Condition], said: Any) -> bool:
    return not issubclass(kind, ByName) or isinstance(said, str)


__all__ = [
    "CONDITIONS",
    "Condition",
    "Happened",
    "Known",
    "Leaf",
    "Program",
    "Told",
    "Value",
    "names",
    "parts",
    "read",
    "resolved",
]
