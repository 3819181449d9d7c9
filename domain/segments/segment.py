"""A segment: people who meet a condition, or who were put on a list; and what was decided about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple, Self

from domain import conditions
from domain.conditions import Condition, Value
from domain.conditions.people import InSegment
from domain.core.errors import Conflict, InvalidRequest, NotFound
from domain.core.naming import check_id, check_texts, decoded
from domain.events.events import NIL, Event, SegmentArchived, SegmentDefined


class Definition(NamedTuple):
    """What somebody wants a segment to be."""

    name: str
    description: str = ""
    condition: bytes = b""
    """As JSON; empty: a list that is kept by hand."""


class By(NamedTuple):
    """Who decided, when and why."""

    actor: str
    at: datetime
    reason: str = ""


class Segment(NamedTuple):
    """What was decided about one segment so far."""

    id: str
    definition: Definition | None = None
    """None: it was never defined."""

    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    def after(self, event: Event) -> Self:
        """Return the segment as it is after a decision."""
        match event:
            case SegmentDefined():
                said = Definition(event.name, event.description, event.condition)
                return self._replace(definition=said, archived=False, version=self.version + 1)
            case SegmentArchived():
                return self._replace(archived=True, version=self.version + 1)
        return self

    @property
    def is_there(self) -> bool:
        """Whether anybody can be in it."""
        return self.definition is not None and not self.archived

    @property
    def is_manual(self) -> bool:
        """Whether people are put on its list by hand."""
        return self.definition is not None and not self.definition.condition

    @property
    def asks_about(self) -> frozenset[str]:
        """Ids of the segments that its condition asks about."""
        if self.definition is None or not self.definition.condition:
            return frozenset()
        return references(self._condition(self.definition))

    @property
    def computes(self) -> frozenset[str]:
        """Ids of the computed attributes that its condition asks about by name."""
        if self.definition is None or not self.definition.condition:
            return frozenset()
        return frozenset(conditions.names(self._condition(self.definition)))

    def define(
        self,
        wanted: Definition,
        others: Callable[[str], Segment],
        by: By,
        values: Mapping[str, Value] = {},
    ) -> SegmentDefined | None:
        """Return the decision that makes it so; None if it is so already.

        ``others`` gives a segment by its id, ``values`` what the names of computed attributes stand for.  Raises InvalidRequest for what cannot be, Conflict if a
        list kept by hand would become a condition or the other way round.
        """
        check_id("segment", self.id, "big-spenders")
        check_texts("segment", *wanted)
        if self.definition is not None and self.is_manual != (not wanted.condition):
            raise Conflict(
                "a list kept by hand stays one, and so does a condition; make a new segment",
                segment=self.id,
            )
        if wanted.condition:
            condition = self._condition(wanted)
            conditions.resolved(condition, values)
            _check_references(self.id, condition, others)
        if self.is_there and wanted == self.definition:
            return None
        return SegmentDefined(
            id=NIL,
            segment=self.id,
            name=wanted.name,
            description=wanted.description,
            condition=wanted.condition,
            occurred_at=by.at,
            actor=by.actor,
            reason=by.reason,
        )

    @staticmethod
    def _condition(definition: Definition) -> Condition:
        return conditions.read(decoded("condition", definition.condition), by_name=True)

    def archive(self, used_by: Mapping[str, str], by: By) -> SegmentArchived:
        """Return the decision that nobody is in it from now on.

        ``used_by`` are the names of segments and rules that refer to it, by id.  Raises NotFound if it
        is not there, Conflict if another needs it.
        """
        if not self.is_there:
            raise NotFound(f"there is no segment {self.id!r}", segment=self.id)
        if used_by:
            raise Conflict(
                f"others ask who is in {self.id!r}: {', '.join(sorted(used_by))};"
                " change those first",
                segment=self.id,
                used_by=sorted(used_by),
            )
        return SegmentArchived(
            id=NIL, segment=self.id, occurred_at=by.at, actor=by.actor, reason=by.reason
        )


def references(condition: Condition) -> frozenset[str]:
    """Return the ids of the segments that a condition asks about."""
    return frozenset(_places(condition))


def _places(condition: Condition, place: str = "") -> dict[str, str]:
    """Return where a condition asks about which segment: a JSON pointer, by the segment's id."""
    if isinstance(condition, InSegment):
        return {condition.segment: place}
    found: dict[str, str] = {}
    for at, part in enumerate(condition.parts):
        found = _places(part, f"{place}/{condition.KEY}/{at}") | found
    return found


def _check_references(segment: str, condition: Condition, others: Callable[[str], Segment]) -> None:
    """Refuse a condition about a segment that is not there, or one that leads back to itself."""
    places = _places(condition)
    waiting: list[tuple[str, ...]] = [(segment, it) for it in places]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop()
        other, place = way[-1], places[way[1]]
        if other == segment:
            raise InvalidRequest(
                f"the segment would ask about itself: {' → '.join(way)}",
                path=place,
                segment=segment,
            )
        if other in seen:
            continue
        seen.add(other)
        there = others(other)
        if not there.is_there:
            raise InvalidRequest(
                f"there is no segment {other!r}", path=place, segment=segment, missing=other
            )
        waiting += [(*way, it) for it in there.asks_about]
