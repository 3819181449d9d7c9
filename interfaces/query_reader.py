"""The ports of all read models and of the ledger, in one snapshot of one workspace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from application.ledger.ledger import Ledger
from domain.core.identifiers import Identifier
from domain.events.recorded import RecordedEvent
from domain.profiles.as_of import ProfileAsOf
from projections.identity import IdentityReads
from projections.profile import ProfileReads
from projections.segments import ComputedAttributeReads
from projections.sessions import SessionReads


@dataclass(frozen=True)
class QueryReader(IdentityReads, ProfileReads, SessionReads, ComputedAttributeReads):
    """`AllPorts`: each read model adds the reads that it provides as a base class."""

    ledger: Ledger
    tx: Connection
    workspace: int
    projected_to: int

    def stream_of(self, identifier: Identifier) -> UUID:
        """Return the id of an identifier's stream, whether or not it has events."""
        return self.ledger.stream_of(self.workspace, identifier)

    def recorded_event(self, position: int) -> RecordedEvent | None:
        """Return the event at a position; None if there is none."""
        return self.ledger.event_at(self.workspace, position)

    def profile_as_of(self, stream: UUID, when: int | datetime) -> ProfileAsOf | None:
        """Return a stream's profile as of a position or instant; None if unknown by then."""
        return self.ledger.profile_as_of(self.workspace, stream, when)
