"""A history by the minute: messages, and what is decided about segments."""

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
    """An event of the ledger's own, at a minute."""

    event: Event
    stream: UUID


class HistoryEntry(NamedTuple):
    minute: int
    """When the ledger takes it; what it tells of happened that long before, or less."""

    content: Message | Decision


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def defined(segment: str, document: Any) -> Decision:
    said = b"" if document is None else msgspec.json.encode(document)
    event = SegmentDefined(
        id=UUID(int=0), segment=segment, name=segment, condition=said, occurred_at=START
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
    """Record it, but for lists with people nobody has heard of, as the ledger refuses those.

    What is said in one minute has one time.
    """
    records: list[RecordedEvent] = []
    for minute, what in history:
        moment = at(minute)
        if isinstance(what, Decision):
            if isinstance(what.event, ManualListChanged) and what.stream not in profiles_by_stream(
                records
            ):
                continue
            records.append(RecordedEvent(len(records) + 1, what.stream, 1, moment, what.event))
        else:
            made = recorded([what], after=len(records))
            records += [it._replace(recorded_at=moment) for it in made]
    return records


def instants(records: Sequence[RecordedEvent]) -> list[int]:
    """Return each minute, and the microseconds before and after it."""
    return sorted(
        to_micros(at(minute)) + slip
        for minute in (*range(30), 60, 62, 65, 70, LAST_MINUTE - 1)
        for slip in (-1, 0, 1)
    )
