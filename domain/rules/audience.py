"""The audience of a rule: a condition whose values may be fields of the triggering event.

A field is allowed only where it does not change which accumulators are stored: as a tag, and as the value
of a comparison with an attribute or a computed attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain import conditions
from domain.conditions import Condition, EvaluationInput
from domain.core import paths
from domain.core.errors import InvalidRequest

FIELD = "$field"
"""Key of a field: ``{"$field": "properties.item_id"}``."""

_MAX_DEPTH = 200
_EXAMPLE_VALUE = "2026-01-01"
"""Stands for a field while the audience is checked: a time as text is valid for every operator on one value."""

_FieldResolver = Callable[[str, bool], Any]
"""Returns the value at a path or, if the second argument is true, the list of its values."""


class _MissingField(Exception):
    """The trigger's context has no value for a field."""


class Audience:
    """A condition that is evaluated at the moment at which a rule is triggered."""

    def __init__(self, document: Any, pointer: str = "") -> None:
        """Raises InvalidRequest for an invalid condition; ``pointer`` is the document's place."""
        self._document = document
        example = _substitute(document, pointer, _example_value)
        try:
            self.condition: Condition = conditions.parse_condition(example)
        except InvalidRequest as error:
            path = pointer + error.details.get("path", "")
            raise InvalidRequest(f"{error}", path=path) from None
        self._has_fields = example != document

    def resolve(self, context: Mapping[str, Any]) -> Condition | None:
        """Returns the condition with the context's values; None if one is missing or not valid."""
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
        """Returns whether the condition holds for a profile; false if the context lacks a field."""
        condition = self.resolve(context)
        return condition is not None and condition.holds(evaluation_input, clock)


def _example_value(path: str, as_list: bool) -> Any:
    paths.parse(path)
    return [] if as_list else _EXAMPLE_VALUE


def _context_resolver(context: Mapping[str, Any]) -> _FieldResolver:
    def resolve_field(path: str, as_list: bool) -> Any:
        values = list(paths.find_values(context, paths.parse(path)))
        if as_list:
            return values[0] if len(values) == 1 and isinstance(values[0], list) else values
        if not values or values[0] is None:
            raise _MissingField
        return values[0]

    return resolve_field


def _substitute(document: Any, pointer: str, resolve_field: _FieldResolver, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise InvalidRequest("the condition is nested too deeply", path=pointer)
    if isinstance(document, list):
        return [
            _substitute(part, f"{pointer}/{index}", resolve_field, depth + 1)
            for index, part in enumerate(document)
        ]
    if not isinstance(document, dict):
        return document
    if FIELD in document:
        raise InvalidRequest(
            f"`{FIELD}` is allowed only as a tag, or as the value of a comparison with an attribute or a"
            " computed attribute; elsewhere it would change which accumulators are stored",
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
            _substitute_operand(part, None, f"{pointer}/{index}", resolve_field)
            for index, part in enumerate(value)
        ]
    if not (isinstance(value, dict) and FIELD in value):
        return value
    if value.keys() != {FIELD} or not isinstance(value[FIELD], str):
        raise InvalidRequest(
            f'a field is written as {{"{FIELD}": "properties.item_id"}}', path=pointer
        )
    return resolve_field(value[FIELD], op in {"in", "not_in"})
