"""For whom a rule acts: a condition, in which a value may be a field of what set the rule off.

A field stands where it does not matter to what has to be remembered of people: as the value of an
attribute's or a computed attribute's comparison, and as a tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain import conditions
from domain.conditions import Condition, EvaluationInput
from domain.core import paths
from domain.core.errors import InvalidRequest

FIELD = "$field"

_MAX_DEPTH = 200
_EXAMPLE_VALUE = "2026-01-01"
"""Fits every operator that takes a single value: a text that is a time."""

_FieldResolver = Callable[[str, bool], Any]
"""Gives the value of a field, or the list of its values."""


class _MissingField(Exception):
    """The context has no such field."""


class Audience:
    """A condition that is asked at the moment at which a rule is set off."""

    def __init__(self, document: Any, pointer: str = "") -> None:
        self._document = document
        example = _substitute(document, pointer, _example_value)
        try:
            self.condition: Condition = conditions.parse_condition(example)
        except InvalidRequest as error:
            path = pointer + error.details.get("path", "")
            raise InvalidRequest(f"{error}", path=path) from None
        self._has_fields = example != document

    def resolve(self, context: Mapping[str, Any]) -> Condition | None:
        """Return the condition with the context's fields; None if one is not there, or does not fit."""
        if not self._has_fields:
            return self.condition
        try:
            return conditions.parse_condition(
                _substitute(self._document, "", _context_resolver(context))
            )
        except (_MissingField, InvalidRequest):
            return None

    def holds(
        self, evaluation_input: EvaluationInput, clock: int, context: Mapping[str, Any]
    ) -> bool:
        """Say whether it holds of a person; without one of its fields it never does."""
        condition = self.resolve(context)
        return condition is not None and condition.holds(evaluation_input, clock)


def _example_value(path: str, many: bool) -> Any:
    paths.parse(path)
    return [] if many else _EXAMPLE_VALUE


def _context_resolver(context: Mapping[str, Any]) -> _FieldResolver:
    def value(path: str, many: bool) -> Any:
        found = list(paths.find_values(context, paths.parse(path)))
        if many:
            return found[0] if len(found) == 1 and isinstance(found[0], list) else found
        if not found or found[0] is None:
            raise _MissingField
        return found[0]

    return value


def _substitute(document: Any, pointer: str, resolve_field: _FieldResolver, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise InvalidRequest("the condition is nested too deeply", path=pointer)
    if isinstance(document, list):
        return [
            _substitute(each, f"{pointer}/{at}", resolve_field, depth + 1)
            for at, each in enumerate(document)
        ]
    if not isinstance(document, dict):
        return document
    if FIELD in document:
        raise InvalidRequest(
            f"`{FIELD}` may be the value of an attribute's or a computed attribute's comparison, or a"
            " tag; here it would change what has to be remembered of everybody",
            path=pointer,
        )
    return {
        name: _substitute_operand(value, document.get("op"), f"{pointer}/{name}", resolve_field)
        if _allows_field(document, name)
        else _substitute(value, f"{pointer}/{name}", resolve_field, depth + 1)
        for name, value in document.items()
    }


def _allows_field(condition: dict[str, Any], name: str) -> bool:
    return name == "tag" or (
        name == "value" and ("attribute" in condition or "computed" in condition)
    )


def _substitute_operand(value: Any, op: Any, pointer: str, resolve_field: _FieldResolver) -> Any:
    if isinstance(value, list):
        return [
            _substitute_operand(each, None, f"{pointer}/{at}", resolve_field)
            for at, each in enumerate(value)
        ]
    if not (isinstance(value, dict) and FIELD in value):
        return value
    if value.keys() != {FIELD} or not isinstance(value[FIELD], str):
        raise InvalidRequest(f'write {{"{FIELD}": "properties.item_id"}}', path=pointer)
    return resolve_field(value[FIELD], op in {"in", "not_in"})
