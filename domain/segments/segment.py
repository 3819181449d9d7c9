"""A segment: people who meet a condition, or who were put on a list; and what was decided about it."""

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
    """What somebody wants a segment to be."""

    name: str
    description: str = ""
    condition: bytes = b""
    """As JSON; empty: a list that is kept by hand."""


class Segment(NamedTuple):
    """What was decided about one segment so far."""

    id: str
    definition: SegmentVersion | None = None
    """None: it was never defined."""

    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    def apply(self, event: Event) -> Self:
        """Return the segment as it is after a decision."""
        match event:
            case SegmentDefined():
                said = SegmentVersion(event.name, event.description, event.condition)
                return self._replace(definition=said, archived=False, version=self.version + 1)
            case SegmentArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def exists(self) -> bool:
        """Whether anybody can be in it."""
        return self.definition is not None and not self.archived

    @property
    def is_manual(self) -> bool:
        """Whether people are put on its list by hand."""
        return self.definition is not None and not self.definition.condition

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that its condition asks about."""
        if self.definition is None or not self.definition.condition:
            return frozenset()
        return referenced_segments(self._parse_condition(self.definition))

    @property
    def referenced_attributes(self) -> frozenset[str]:
        """Ids of the computed attributes that its condition asks about by name."""
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
        """Return the decision that makes it so; None if it is so already.

        ``others`` gives a segment by its id, ``values`` what the names of computed attributes stand for.  Raises InvalidRequest for what cannot be, Conflict if a
        list kept by hand would become a condition or the other way round.
        """
        check_id("segment", self.id, "big-spenders")
        check_texts("segment", *definition)
        if self.definition is not None and self.is_manual != (not definition.condition):
            raise Conflict(
                "a list kept by hand stays one, and so does a condition; make a new segment",
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
        """Return the decision that nobody is in it from now on.

        ``used_by`` are the names of segments and rules that refer to it, by id.  Raises NotFound if it
        is not there, Conflict if another needs it.
        """
        if not self.exists:
            raise NotFound(f"there is no segment {self.id!r}", segment=self.id)
        if used_by:
            raise Conflict(
                f"others ask who is in {self.id!r}: {', '.join(sorted(used_by))};"
                " change those first",
                segment=self.id,
                used_by=sorted(used_by),
            )
        return SegmentArchived(
            id=NIL, segment=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )


def referenced_segments(condition: Condition) -> frozenset[str]:
    """Return the ids of the segments that a condition asks about."""
    return frozenset(_reference_pointers(condition))


def _reference_pointers(condition: Condition, pointer: str = "") -> dict[str, str]:
    """Return where a condition asks about which segment: a JSON pointer, by the segment's id."""
    if isinstance(condition, SegmentCondition):
        return {condition.segment: pointer}
    found: dict[str, str] = {}
    for at, part in enumerate(condition.parts):
        found = _reference_pointers(part, f"{pointer}/{condition.KEY}/{at}") | found
    return found


def _check_references(
    segment: str, condition: Condition, find_segment: Callable[[str], Segment]
) -> None:
    """Refuse a condition about a segment that is not there, or one that leads back to itself."""
    pointers = _reference_pointers(condition)
    pending: list[tuple[str, ...]] = [(segment, it) for it in pointers]
    seen: set[str] = set()
    while pending:
        chain = pending.pop()
        other, pointer = chain[-1], pointers[chain[1]]
        if other == segment:
            raise InvalidRequest(
                f"the segment would ask about itself: {' → '.join(chain)}",
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
        pending += [(*chain, it) for it in referenced.referenced_segments]
