"""For whom a rule acts: a condition, in which a value may be a field of what set the rule off.

A field stands where it does not matter to what has to be remembered of people: as the value of an
attribute's or a computed attribute's comparison, and as a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain import conditions
from domain.conditions import Condition, Known
from domain.core import paths
from domain.core.errors import InvalidRequest

FIELD = "$field"

_DEEPEST = 200
_EXAMPLE = "2026-01-01"
"""Fits every operator that takes a single value: a text that is a time."""

_Fill = Callable[[str, bool], Any]
"""Gives the value of a field, or the list of its values."""


class _Missing(Exception):
    """The context has no such field."""


class Audience:
    """A condition that is asked at the moment at which a rule is set off."""

    def __init__(self, document: Any, place: str = "") -> None:
        self._document = document
        filled = _filled(document, place, _example)
        try:
            self.condition: Condition = conditions.read(filled)
        except InvalidRequest as error:
            path = place + error.details.get("path", "")
            raise InvalidRequest(f"{error}", path=path) from None
        self._has_fields = filled != document

    def asked(self, context: Mapping[str, Any]) -> Condition | None:
        """Return the condition with the context's fields; None if one is not there, or does not fit."""
        if not self._has_fields:
            return self.condition
        try:
            return conditions.read(_filled(self._document, "", _field_of(context)))
        except (_Missing, InvalidRequest):
            return None

    def holds(self, known: Known, clock: int, context: Mapping[str, Any]) -> bool:
        """Say whether it holds of a person; without one of its fields it never does."""
        condition = self.asked(context)
        return condition is not None and condition.holds(known, clock)


def _example(path: str, many: bool) -> Any:
    paths.parse(path)
    return [] if many else _EXAMPLE


def _field_of(context: Mapping[str, Any]) -> _Fill:
    def value(path: str, many: bool) -> Any:
        found = list(paths.find(context, paths.parse(path)))
        if many:
            return found[0] if len(found) == 1 and isinstance(found[0], list) else found
        if not found or found[0] is None:
            raise _Missing
        return found[0]

    return value


def _filled(it: Any, place: str, fill: _Fill, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise InvalidRequest("the condition is nested too deeply", path=place)
    if isinstance(it, list):
        return [_filled(each, f"{place}/{at}", fill, depth + 1) for at, each in enumerate(it)]
    if not isinstance(it, dict):
        return it
    if FIELD in it:
        raise InvalidRequest(
            f"`{FIELD}` may be the value of an attribute's or a computed attribute's comparison, or a"
            " tag; here it would change what has to be remembered of everybody",
            path=place,
        )
    return {
        name: _compared(value, it.get("op"), f"{place}/{name}", fill)
        if _takes_fields(it, name)
        else _filled(value, f"{place}/{name}", fill, depth + 1)
        for name, value in it.items()
    }


def _takes_fields(it: dict[str, Any], name: str) -> bool:
    return name == "tag" or (name == "value" and ("attribute" in it or "computed" in it))


def _compared(value: Any, op: Any, place: str, fill: _Fill) -> Any:
    if isinstance(value, list):
        return [_compared(each, None, f"{place}/{at}", fill) for at, each in enumerate(value)]
    if not (isinstance(value, dict) and FIELD in value):
        return value
    if value.keys() != {FIELD} or not isinstance(value[FIELD], str):
        raise InvalidRequest(f'write {{"{FIELD}": "properties.item_id"}}', path=place)
    return fill(value[FIELD], op in {"in", "not_in"})
