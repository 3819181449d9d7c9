"""Recorded events: what readers of the ledger receive."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.events.events import Event


class RecordedEvent(NamedTuple):
    """An event with its position, stream and version."""

    position: int
    """Dense, from 1, in commit order."""

    stream: UUID
    version: int
    """Dense within the stream, from 1."""

    recorded_at: datetime
    """When the event was appended (UTC); never decreases along positions."""

    event: Event | None
    """The event; None once it has been erased."""
