"""An event as the ledger holds it: what readers of the ledger are given."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.events.events import Event


class RecordedEvent(NamedTuple):
    """One place in a workspace's ledger."""

    position: int
    """Dense, from 1, in commit order."""

    stream: UUID
    version: int
    """Dense within the stream, from 1."""

    recorded_at: datetime
    """When the ledger took it (UTC); never goes back along positions."""

    event: Event | None
    """What was recorded, or None once it has been erased."""
