"""Ports: what the queries of a read model may read, their own tables and other read models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, Table

from domain.core.identifiers import Identifier
from domain.events.recorded import RecordedEvent
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles.as_of import ProfileAsOf


class Reader(Protocol):
    """What every query reads from: one workspace, in the snapshot of one transaction."""

    @property
    def tx(self) -> Connection:
        """The transaction."""
        ...

    @property
    def workspace(self) -> int:
        """The workspace, which every statement must name."""
        ...

    @property
    def projected_to(self) -> int:
        """Position up to which both the query's read model and identity have applied events."""
        ...


class LedgerPort(Reader, Protocol):
    """Reads of the ledger."""

    def stream_of(self, identifier: Identifier) -> UUID:
        """Returns the id of an identifier's stream, whether or not it has events."""
        ...

    def recorded_event(self, position: int) -> RecordedEvent | None:
        """Returns the event at a position, with the payload as received; None if there is none."""
        ...

    def profile_as_of(self, stream: UUID, when: int | datetime) -> ProfileAsOf | None:
        """Returns a stream's profile as of a position or instant; None if unknown by then."""
        ...


class IdentityPort(Reader, Protocol):
    """Reads of identity.  A stream that is linked with no other is a profile by itself."""

    @property
    def identity_members(self) -> Table:
        """Table of the profile of each stream, for SQL joins.

        It has ``workspace``, ``stream``, ``profile_id``.  A stream without a row is a profile by itself.
        """
        ...

    def profile(self, stream: UUID) -> ResolvedProfile:
        """Returns the profile of a stream."""
        ...

    def profiles(self, streams: Iterable[UUID]) -> Mapping[UUID, ResolvedProfile]:
        """Returns the profile of each stream."""
        ...

    def profile_ids(self, streams: Iterable[UUID]) -> Mapping[UUID, UUID]:
        """Returns the profile id of each stream."""
        ...

    def find_profile(self, reference: str) -> ResolvedProfile:
        """Returns the profile of a reference.  Raises InvalidRequest as `parse_reference` does."""
        ...


class ProfilePort(IdentityPort, Protocol):
    """Reads of the states of profiles."""

    def identifiers(
        self, profiles: Iterable[ResolvedProfile]
    ) -> Mapping[UUID, tuple[Identifier, ...]]:
        """Returns all identifiers of each profile, strongest kind first, by profile id."""
        ...


class SessionsPort(Reader, Protocol):
    """Reads of sessions."""

    def session(self, session_id: str, profile: ResolvedProfile) -> Mapping[str, Any] | None:
        """Returns a profile's session by its id as JSON; None if there is none."""
        ...


class ComputedAttributesPort(Reader, Protocol):
    """Reads of computed attributes."""

    def computed_attributes(self, stream: UUID) -> Mapping[str, Any]:
        """Returns the values in effect of a stream's profile by name; None where it has no value."""
        ...


class AllPorts(LedgerPort, ProfilePort, SessionsPort, ComputedAttributesPort, Protocol):
    """All ports; a handler is typed with those that it uses."""
