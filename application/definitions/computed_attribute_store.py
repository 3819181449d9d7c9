"""All computed attributes of a workspace, as their one stream tells them."""

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
"""Decisions that are read together."""

ComputedAttributeEvent = ComputedAttributeDefined | ComputedAttributeArchived


class ComputedAttributeStore:
    """The computed attributes, in the transaction that decides about one of them, or about a segment."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self.stream = ledger.attributes_stream(workspace)
        self.attributes: dict[str, ComputedAttribute] = {}
        self.events_by_id: dict[UUID, RecordedEvent] = {}
        self.positions: dict[str, int] = {}
        """Of the last decision about each."""

        self.version = 0
        """Of the stream."""

        for it in _recorded_events(connection, workspace, self.stream):
            event = computed_attribute_event(it)
            self.events_by_id[event.id] = it
            self.attributes[event.attribute] = self.attribute(event.attribute).apply(event)
            self.positions[event.attribute] = it.position
            self.version = it.version

    @property
    def active_count(self) -> int:
        """How many are there."""
        return sum(it.exists for it in self.attributes.values())

    @property
    def values(self) -> Mapping[str, ReferencedValue]:
        """What the name of each stands for."""
        return resolve_all({it.id: it.value for it in self.attributes.values() if it.exists})

    def attribute(self, id_: str) -> ComputedAttribute:
        """Return one; one that never was has version 0."""
        return self.attributes.get(id_) or ComputedAttribute(id_)

    def dependents(self, id_: str) -> set[str]:
        """Return the ids of those that ask about this one."""
        there = (it for it in self.attributes.values() if it.exists)
        return {it.id for it in there if id_ in conditions.referenced_names(it.value)}


def computed_attribute_event(recorded: RecordedEvent) -> ComputedAttributeEvent:
    """Return what was decided about a computed attribute: such events are never erased."""
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
