"""A history by the minute: messages, and events about definitions and manual lists."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.core.identifiers import Identifier
from domain.core.time import to_micros
from domain.events.events import (
    ComputedAttributeDefined,
    Event,
    ManualListChanged,
    SegmentArchived,
    SegmentDefined,
)
from domain.events.message import Message
from domain.events.recorded import RecordedEvent
from tests.integration.projections.history import recorded
from tests.oracles.membership import profiles_by_stream

MINUTE = 60_000_000
START = datetime(2026, 1, 1, tzinfo=UTC)
LAST_MINUTE = 80
IDENTIFIERS = [
    Identifier(kind, value) for kind in ("user_id", "email", "anonymous_id") for value in ("a", "b")
]
LISTS = ("s-1", "s-2")


class Decision(NamedTuple):
    """An event that is not a message, and its stream."""

    event: Event
    stream: UUID


class HistoryEntry(NamedTuple):
    minute: int
    """When it is recorded; it occurred at this minute or before."""

    content: Message | Decision


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def defined(segment: str, document: Any) -> Decision:
    condition = b"" if document is None else msgspec.json.encode(document)
    event = SegmentDefined(
        id=UUID(int=0), segment=segment, name=segment, condition=condition, occurred_at=START
    )
    return Decision(event, UUID(int=7))


def computed(attribute: str, document: Any) -> Decision:
    event = ComputedAttributeDefined(
        id=UUID(int=0),
        attribute=attribute,
        name=attribute,
        computation=msgspec.json.encode(document),
        occurred_at=START,
    )
    return Decision(event, UUID(int=8))


def archived(segment: str) -> Decision:
    return Decision(
        SegmentArchived(id=UUID(int=0), segment=segment, occurred_at=START), UUID(int=7)
    )


def ledger(history: Sequence[HistoryEntry]) -> list[RecordedEvent]:
    """Records a history; all entries of a minute have the same time.

    Changes of manual lists for profiles that do not exist are left out, as the ledger refuses those.
    """
    records: list[RecordedEvent] = []
    for minute, content in history:
        recorded_at = at(minute)
        if isinstance(content, Decision):
            event, stream = content
            if isinstance(event, ManualListChanged) and stream not in profiles_by_stream(records):
                continue
            records.append(RecordedEvent(len(records) + 1, stream, 1, recorded_at, event))
        else:
            added = recorded([content], after=len(records))
            records += [record._replace(recorded_at=recorded_at) for record in added]
    return records


def instants(records: Sequence[RecordedEvent]) -> list[int]:
    """Returns each minute, and the microseconds before and after it."""
    return sorted(
        to_micros(at(minute)) + offset
        for minute in (*range(30), 60, 62, 65, 70, LAST_MINUTE - 1)
        for offset in (-1, 0, 1)
    )
