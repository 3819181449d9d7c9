"""A computed attribute (an aggregate over events, or a score) and its allowed changes.

Its definition is a condition without the comparison: ``{"computed": {"fn": "count", "event": "order",
"within": {"last": "30d"}}}`` or ``{"score": [{"when": {"tag": "vip"}, "points": 10}]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from domain import conditions
from domain.conditions import ReferencedValue
from domain.conditions.base import COMPUTED_ATTRIBUTE
from domain.conditions.computed import ComputedCondition, ScoreCondition
from domain.conditions.references import located_references
from domain.core.errors import Conflict, InvalidRequest
from domain.core.naming import decode_json
from domain.definitions.definition import Definition, DefinitionVersion, References
from domain.events.events import (
    ComputedAttributeArchived,
    ComputedAttributeDefined,
    DefinitionEvent,
)

_PLACEHOLDER_COMPARISON: Mapping[str, Mapping[str, object]] = {
    ComputedCondition.KEY: {"op": "exists"},
    ScoreCondition.KEY: {"op": "gte", "value": 0},
}
"""By key, a comparison that makes a complete condition of a definition, so that it can be parsed as one."""


@dataclass(frozen=True)
class ComputedAttribute(Definition):
    """The current state of one computed attribute, folded from its events.

    The document of its definition is the computation.
    """

    KIND: ClassVar[str] = "computed attribute"
    KEY: ClassVar[str] = "attribute"
    EXAMPLE_ID: ClassVar[str] = "orders_30d"
    DEFINED: ClassVar[type[ComputedAttributeDefined]] = ComputedAttributeDefined
    DOCUMENT: ClassVar[str] = "computation"
    ARCHIVED: ClassVar[type[DefinitionEvent]] = ComputedAttributeArchived

    @property
    def value(self) -> ReferencedValue:
        """The parsed definition, with its references unresolved; the attribute must be defined."""
        assert self.definition is not None
        return parse_computation(self.definition.document)

    @property
    def referenced_attributes(self) -> frozenset[str]:
        """Ids of the computed attributes that a score refers to by name."""
        return frozenset(conditions.referenced_names(self.value))

    def check(self, definition: DefinitionVersion, references: References) -> None:
        """Raises InvalidRequest for an invalid computation, Conflict for a change of its kind."""
        super().check(definition, references)
        value = parse_computation(definition.document)
        if self.definition is not None and type(self.value) is not type(value):
            raise Conflict(
                "a score cannot become a computation, or the reverse; create a new attribute",
                attribute=self.id,
            )
        resolve_all({**references.computed_attributes, self.id: value})


def parse_computation(computation: bytes) -> ReferencedValue:
    """Parses a definition from JSON.  Raises InvalidRequest with a JSON pointer in `path`."""
    document = decode_json(ComputedAttribute.KIND, computation)
    if (
        not isinstance(document, dict)
        or len(document) != 1
        or not document.keys() <= _PLACEHOLDER_COMPARISON.keys()
    ):
        raise InvalidRequest("give either `computed` or `score`, and nothing else", path="")
    [(key, definition)] = document.items()
    if isinstance(definition, str):
        raise InvalidRequest(f"expected a definition, not the name {definition!r}", path=f"/{key}")
    value = conditions.parse_condition(
        {**document, **_PLACEHOLDER_COMPARISON[key]}, allow_references=True
    )
    assert isinstance(value, ReferencedValue)
    for pointer, reference in located_references(value):
        if reference.kind != COMPUTED_ATTRIBUTE:  # it could lead back to this attribute
            raise InvalidRequest(
                "a named score cannot refer to segments or to other scores; write their conditions here",
                path=pointer,
            )
    return value


def resolve_all(values: Mapping[str, ReferencedValue]) -> Mapping[str, ReferencedValue]:
    """Resolves the references of scores to computations, by name.

    Raises InvalidRequest for a reference to a computation that is not among the values.
    """
    resolved_values: dict[str, ReferencedValue] = {
        name: value for name, value in values.items() if isinstance(value, ComputedCondition)
    }
    for name, value in values.items():
        if isinstance(value, ScoreCondition):
            resolved_values[name] = value.resolve(resolved_values)
    return resolved_values
