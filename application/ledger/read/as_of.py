"""A profile as of any position, computed from the ledger alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from psycopg import Connection

from application.ledger.read import profiles, snapshots
from application.ledger.read.positions import versions_at
from domain.core.identifiers import Identifier
from domain.profiles import state as profile_state
from domain.profiles.as_of import LedgerPoint, ProfileAsOf


def profile_as_of(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    stream_of: Callable[[Identifier], UUID],
    point: LedgerPoint,
) -> ProfileAsOf | None:
    """Returns the profile of a stream as of a point; None if it had no messages by then."""
    profile = profiles.load_profile(connection, workspace, stream, stream_of, point.position)
    versions = versions_at(connection, workspace, profile.streams, point.position)
    states = snapshots.load_states(connection, workspace, versions)
    state = profile_state.merge(states, profile)
    return ProfileAsOf(point, profile, state) if state.identifiers else None
