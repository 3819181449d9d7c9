"""The computed attributes of a workspace, replayed from their stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.ledger import Ledger
from application.ledger.read import history
from application.ledger.read.profiles import LATEST
from domain import conditions
from domain.conditions import ReferencedValue
from domain.events.events import ComputedAttributeArchived, ComputedAttributeDefined
from domain.events.recorded import RecordedEvent
from domain.segments.computed_attribute import ComputedAttribute, resolve_all

_PAGE_SIZE = 1_000
"""Events that are read in one query."""

ComputedAttributeEvent = ComputedAttributeDefined | ComputedAttributeArchived


class ComputedAttributeStore:
    """All computed attributes of a workspace, loaded in the transaction of a command."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self.stream = ledger.attributes_stream(workspace)
        self.attributes: dict[str, ComputedAttribute] = {}
        self.events_by_id: dict[UUID, RecordedEvent] = {}
        self.positions: dict[str, int] = {}
        """Position of the last event of each attribute."""

        self.version = 0
        """Version of the stream."""

        for recorded in _recorded_events(connection, workspace, self.stream):
            event = computed_attribute_event(recorded)
            self.events_by_id[event.id] = recorded
            self.attributes[event.attribute] = self.attribute(event.attribute).apply(event)
            self.positions[event.attribute] = recorded.position
            self.version = recorded.version

    @property
    def active_count(self) -> int:
        """How many attributes exist, archived ones not counted."""
        return sum(attribute.exists for attribute in self.attributes.values())

    @property
    def values(self) -> Mapping[str, ReferencedValue]:
        """The computed value of each attribute that exists, by id, references resolved."""
        attributes = self.attributes.values()
        return resolve_all({a.id: a.value for a in attributes if a.exists})

    def attribute(self, id_: str) -> ComputedAttribute:
        """Returns an attribute; one that was never defined has version 0."""
        return self.attributes.get(id_) or ComputedAttribute(id_)

    def dependents(self, id_: str) -> set[str]:
        """Returns the ids of existing attributes that refer to this one."""
        active = (attribute for attribute in self.attributes.values() if attribute.exists)
        return {a.id for a in active if id_ in conditions.referenced_names(a.value)}


def computed_attribute_event(recorded: RecordedEvent) -> ComputedAttributeEvent:
    """Returns the event of a computed attribute; such events are never erased."""
    event = recorded.event
    assert isinstance(event, ComputedAttributeEvent)
    return event


def _recorded_events(
    connection: Connection[Any], workspace: int, stream: UUID, after: int = 0
) -> Iterator[RecordedEvent]:
    while page := history.stream_events(
        connection, workspace, [stream], after=after, until=LATEST, limit=_PAGE_SIZE
    ):
        yield from page
        after = page[-1].position
