"""A segment (a condition or a manual list) and its allowed changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

from domain import conditions
from domain.conditions import Condition, ReferencedValue
from domain.conditions.profile_facts import SegmentCondition
from domain.core.actor import Actor
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.core.naming import check_id, check_texts, decode_json
from domain.events.events import NIL, Event, SegmentArchived, SegmentDefined


class SegmentVersion(NamedTuple):
    """One version of a segment's definition."""

    name: str
    description: str = ""
    condition: bytes = b""
    """JSON; empty for a manual list."""


class Segment(NamedTuple):
    """The current state of one segment's definition, folded from its events."""

    id: str
    definition: SegmentVersion | None = None
    """None if the segment was never defined."""

    archived: bool = False
    version: int = 0
    """Number of events about the definition so far."""

    def apply(self, event: Event) -> Self:
        """Returns the state after an event; other events change nothing."""
        match event:
            case SegmentDefined():
                definition = SegmentVersion(event.name, event.description, event.condition)
                return self._replace(
                    definition=definition, archived=False, version=self.version + 1
                )
            case SegmentArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def exists(self) -> bool:
        """Whether the segment is defined and not archived."""
        return self.definition is not None and not self.archived

    @property
    def is_manual(self) -> bool:
        """Whether the segment is a manual list instead of a condition."""
        return self.definition is not None and not self.definition.condition

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that the condition refers to."""
        if self.definition is None or not self.definition.condition:
            return frozenset()
        return referenced_segments(self._parse_condition(self.definition))

    @property
    def referenced_attributes(self) -> frozenset[str]:
        """Ids of the computed attributes that the condition refers to by name."""
        if self.definition is None or not self.definition.condition:
            return frozenset()
        return frozenset(conditions.referenced_names(self._parse_condition(self.definition)))

    def define(
        self,
        definition: SegmentVersion,
        find_segment: Callable[[str], Segment],
        actor: Actor,
        computed_attributes: Mapping[str, ReferencedValue] = {},
    ) -> SegmentDefined | None:
        """Returns the event that puts a definition into effect; None if it is in effect already.

        ``find_segment`` returns a segment by its id, also one that does not exist; ``computed_attributes``
        are those in effect, by name.  Raises InvalidRequest for an invalid definition, Conflict if a manual
        list would become a condition or the reverse.
        """
        check_id("segment", self.id, "big-spenders")
        check_texts("segment", *definition)
        if self.definition is not None and self.is_manual != (not definition.condition):
            raise Conflict(
                "a manual list cannot become a condition, or the reverse; create a new segment",
                segment=self.id,
            )
        if definition.condition:
            condition = self._parse_condition(definition)
            conditions.resolve_references(condition, computed_attributes)
            _check_references(self.id, condition, find_segment)
        if self.exists and definition == self.definition:
            return None
        return SegmentDefined(
            id=NIL,
            segment=self.id,
            name=definition.name,
            description=definition.description,
            condition=definition.condition,
            occurred_at=actor.at,
            actor=actor.name,
            reason=actor.reason,
        )

    @staticmethod
    def _parse_condition(definition: SegmentVersion) -> Condition:
        return conditions.parse_condition(
            decode_json("condition", definition.condition), allow_references=True
        )

    def archive(self, used_by: Mapping[str, str], actor: Actor) -> SegmentArchived:
        """Returns the event that archives the segment: from then on it has no members.

        ``used_by`` are the names of the segments and rules that refer to it, by id.  Raises NotFound if the
        segment does not exist, Conflict if anything refers to it.
        """
        if not self.exists:
            raise NotFound(f"there is no segment {self.id!r}", segment=self.id)
        if used_by:
            raise Conflict(
                f"segment {self.id!r} is used by: {', '.join(sorted(used_by))}; change those first",
                segment=self.id,
                used_by=sorted(used_by),
            )
        return SegmentArchived(
            id=NIL, segment=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )


def referenced_segments(condition: Condition) -> frozenset[str]:
    """Returns the ids of the segments that a condition refers to."""
    return frozenset(_reference_pointers(condition))


def _reference_pointers(condition: Condition, pointer: str = "") -> dict[str, str]:
    """Return, by segment id, the JSON pointer of the condition's first reference to it."""
    if isinstance(condition, SegmentCondition):
        return {condition.segment: pointer}
    pointers: dict[str, str] = {}
    for index, part in enumerate(condition.parts):
        pointers = _reference_pointers(part, f"{pointer}/{condition.KEY}/{index}") | pointers
    return pointers


def _check_references(
    segment: str, condition: Condition, find_segment: Callable[[str], Segment]
) -> None:
    """Raises InvalidRequest if a referenced segment does not exist, or leads back to this one."""
    pointers = _reference_pointers(condition)
    pending: list[tuple[str, ...]] = [(segment, other) for other in pointers]
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
