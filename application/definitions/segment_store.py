"""The segments of a workspace, replayed from their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import Connection

from application.definitions.computed_attribute_store import ComputedAttributeStore
from application.definitions.store import (
    CommandContext,
    DefinitionStream,
    event_id_for_key,
    idempotency_key_conflict,
)
from application.ledger.ledger import Ledger
from application.ledger.tables import definitions
from domain.conditions import ReferencedValue
from domain.events.events import SegmentArchived, SegmentDefined
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleDefined, RuleStatusChanged
from domain.rules.rule import Rule
from domain.segments.segment import Segment, SegmentVersion

SegmentEvent = SegmentDefined | SegmentArchived


class SegmentResult(NamedTuple):
    """Result of a command about a segment."""

    segment: Segment
    changed: bool
    """False: nothing was recorded, because nothing changed or the command was sent again."""

    position: int
    """Position of the event that led to this state."""


class SegmentStore:
    """All segments of a workspace, loaded in the transaction of a command."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self._connection, self._workspace, self._ledger = connection, workspace, ledger
        self._events_by_id: dict[UUID, RecordedEvent] = {}
        self.segments: dict[str, Segment] = {}
        self.positions: dict[str, int] = {}
        """Position of the last event of each segment."""

        for recorded in definitions.load_segment_events(connection, workspace):
            event = segment_event(recorded)
            self._events_by_id[event.id] = recorded
            self.segments[event.segment] = self.segment(event.segment).apply(event)
            self.positions[event.segment] = recorded.position

    @property
    def active_count(self) -> int:
        """How many segments exist, archived ones not counted."""
        return sum(segment.exists for segment in self.segments.values())

    def segment(self, id_: str) -> Segment:
        """Returns a segment; one that was never defined has version 0."""
        return self.segments.get(id_) or Segment(id_)

    @property
    def values(self) -> Mapping[str, ReferencedValue]:
        """The computed values of the workspace, by attribute id."""
        return ComputedAttributeStore(self._connection, self._workspace, self._ledger).values

    def stream(self, id_: str) -> DefinitionStream:
        """Returns the stream of a segment, at its current version."""
        stream = self._ledger.segment_stream(self._workspace, id_)
        return DefinitionStream("segment", id_, stream, self.segment(id_).version)

    def dependents(self, id_: str) -> Mapping[str, str]:
        """Returns the names of segments and rules that refer to this segment, by their ids."""
        rules = load_rules(self._connection, self._workspace).values()
        candidates: list[Segment | Rule] = [*self.segments.values(), *rules]
        return {
            user.id: user.definition.name
            for user in candidates
            if user.exists and user.definition is not None and id_ in user.referenced_segments
        }

    def replayed(
        self, context: CommandContext, id_: str | None, definition: SegmentVersion | None
    ) -> SegmentResult | None:
        """Returns the result of a command that was sent before with this key; None if it is new.

        Raises Conflict if the key was used for another command.
        """
        recorded = (
            self._events_by_id.get(event_id_for_key(context.idempotency_key))
            if context.idempotency_key is not None
            else None
        )
        if recorded is None:
            return None
        event = segment_event(recorded)
        if id_ not in {None, event.segment} or _definition_of(event) != definition:
            raise idempotency_key_conflict("segment", event.segment, recorded.position)
        return SegmentResult(
            self.segments[event.segment], changed=False, position=recorded.position
        )

    def append(
        self, segment: Segment, event: SegmentEvent, idempotency_key: str | None
    ) -> SegmentResult:
        """Appends an event to the segment's stream."""
        stream = self.stream(segment.id)
        position = stream.append(self._connection, self._workspace, event, idempotency_key)
        return SegmentResult(segment.apply(event), changed=True, position=position)


def segments_reading_attribute(
    connection: Connection[Any], workspace: int, ledger: Ledger, attribute: str
) -> set[str]:
    """Returns the ids of existing segments that refer to a computed attribute."""
    segments = SegmentStore(connection, workspace, ledger).segments.values()
    return {s.id for s in segments if s.exists and attribute in s.referenced_attributes}


def load_rules(connection: Connection[Any], workspace: int) -> Mapping[str, Rule]:
    """Returns the workspace's rules, by their ids."""
    rules: dict[str, Rule] = {}
    for recorded in definitions.load_rule_events(connection, workspace):
        event = recorded.event
        assert isinstance(event, RuleDefined | RuleStatusChanged)
        rules[event.rule] = rules.get(event.rule, Rule(event.rule)).apply(event)
    return rules


def load_segments(connection: Connection[Any], workspace: int) -> Mapping[str, Segment]:
    """Returns the workspace's segments, by their ids."""
    segments: dict[str, Segment] = {}
    for recorded in definitions.load_segment_events(connection, workspace):
        event = segment_event(recorded)
        segments[event.segment] = segments.get(event.segment, Segment(event.segment)).apply(event)
    return segments


def segment_event(recorded: RecordedEvent) -> SegmentEvent:
    """Returns the event of a segment; such events are never erased."""
    event = recorded.event
    assert isinstance(event, SegmentDefined | SegmentArchived)
    return event


def _definition_of(event: SegmentEvent) -> SegmentVersion | None:
    if isinstance(event, SegmentArchived):
        return None
    return SegmentVersion(event.name, event.description, event.condition)
