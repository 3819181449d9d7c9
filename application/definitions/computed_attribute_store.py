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
from domain.conditions import Value
from domain.events.events import AttributeArchived, AttributeDefined
from domain.events.recorded import Recorded
from domain.segments.computed_attribute import ComputedAttribute, all_resolved

_AT_ONCE = 1_000
"""Decisions that are read together."""

Decided = AttributeDefined | AttributeArchived


class ComputedBook:
    """The computed attributes, in the transaction that decides about one of them, or about a segment."""

    def __init__(self, connection: Connection[Any], workspace: int, ledger: Ledger) -> None:
        self.stream = ledger.attributes_stream(workspace)
        self.attributes: dict[str, ComputedAttribute] = {}
        self.decisions: dict[UUID, Recorded] = {}
        self.positions: dict[str, int] = {}
        """Of the last decision about each."""

        self.version = 0
        """Of the stream."""

        for it in _decisions(connection, workspace, self.stream):
            event = decided(it)
            self.decisions[event.id] = it
            self.attributes[event.attribute] = self.attribute(event.attribute).after(event)
            self.positions[event.attribute] = it.position
            self.version = it.version

    @property
    def number(self) -> int:
        """How many are there."""
        return sum(it.is_there for it in self.attributes.values())

    @property
    def values(self) -> Mapping[str, Value]:
        """What the name of each stands for."""
        return all_resolved({it.id: it.value for it in self.attributes.values() if it.is_there})

    def attribute(self, id_: str) -> ComputedAttribute:
        """Return one; one that never was has version 0."""
        return self.attributes.get(id_) or ComputedAttribute(id_)

    def used_by(self, id_: str) -> set[str]:
        """Return the ids of those that ask about this one."""
        there = (it for it in self.attributes.values() if it.is_there)
        return {it.id for it in there if id_ in conditions.names(it.value)}


def decided(recorded: Recorded) -> Decided:
    """Return what was decided about a computed attribute: such events are never erased."""
    event = recorded.event
    assert isinstance(event, Decided)
    return event


def _decisions(
    connection: Connection[Any], workspace: int, stream: UUID, after: int = 0
) -> Iterator[Recorded]:
    while page := history.history(
        connection, workspace, [stream], after=after, until=LATEST, limit=_AT_ONCE
    ):
        yield from page
        after = page[-1].position
