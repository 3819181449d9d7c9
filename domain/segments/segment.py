"""A segment (a condition or a manual list) and its allowed changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from domain import conditions
from domain.conditions import Condition
from domain.conditions.base import SEGMENT
from domain.conditions.references import reference_pointers
from domain.core.errors import Conflict, InvalidRequest
from domain.core.naming import decode_json
from domain.definitions.definition import Definition, DefinitionVersion, References
from domain.events.events import DefinitionEvent, SegmentArchived, SegmentDefined


@dataclass(frozen=True)
class Segment(Definition):
    """The current state of one segment, folded from its events.

    The document of its definition is a condition; an empty one makes it a manual list.
    """

    KIND: ClassVar[str] = "segment"
    KEY: ClassVar[str] = "segment"
    EXAMPLE_ID: ClassVar[str] = "big-spenders"
    DEFINED: ClassVar[type[SegmentDefined]] = SegmentDefined
    DOCUMENT: ClassVar[str] = "condition"
    ARCHIVED: ClassVar[type[DefinitionEvent]] = SegmentArchived

    @property
    def is_manual(self) -> bool:
        """Whether the segment is a manual list instead of a condition."""
        return self.definition is not None and not self.definition.document

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that the condition refers to."""
        condition = self._condition
        return frozenset() if condition is None else conditions.referenced_segments(condition)

    @property
    def referenced_attributes(self) -> frozenset[str]:
        """Ids of the computed attributes that the condition refers to by name."""
        condition = self._condition
        return (
            frozenset() if condition is None else frozenset(conditions.referenced_names(condition))
        )

    def check(self, definition: DefinitionVersion, references: References) -> None:
        """Raises InvalidRequest for an invalid condition, Conflict if a list would become one."""
        super().check(definition, references)
        if self.definition is not None and self.is_manual != (not definition.document):
            raise Conflict(
                "a manual list cannot become a condition, or the reverse; create a new segment",
                segment=self.id,
            )
        if definition.document:
            condition = _parse_condition(definition)
            condition.resolve(references.computed_attributes)
            _check_references(self.id, condition, references.segment)

    @property
    def _condition(self) -> Condition | None:
        if self.definition is None or not self.definition.document:
            return None
        return _parse_condition(self.definition)


def _parse_condition(definition: DefinitionVersion) -> Condition:
    document = decode_json("condition", definition.document)
    return conditions.parse_condition(document, allow_references=True)


def _check_references(
    segment: str, condition: Condition, find_segment: Callable[[str], Definition]
) -> None:
    """Raises InvalidRequest if a referenced segment does not exist, or leads back to this one."""
    pointers = reference_pointers(condition, SEGMENT)
    pending: list[tuple[str, ...]] = [(segment, other) for other in reversed(pointers)]
    seen: set[str] = set()
    while pending:
        chain = pending.pop()
        other, pointer = chain[-1], pointers[chain[1]]
        if other == segment:
            raise InvalidRequest(
                f"the segment refers to itself: {' → '.join(chain)}",
                path=pointer,
                segment=segment,
            )
        if other in seen:
            continue
        seen.add(other)
        referenced = find_segment(other)
        if not referenced.exists:
            raise InvalidRequest(
                f"there is no segment {other!r}", path=pointer, segment=segment, missing=other
            )
        pending += [(*chain, next_id) for next_id in referenced.referenced_segments]
