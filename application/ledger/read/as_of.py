"""A person as they were, at any place of the ledger, from the ledger alone."""

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
    """Return the person whose stream it is as they were at a place; None of somebody unheard of."""
    person = profiles.load_profile(connection, workspace, stream, stream_of, point.position)
    versions = versions_at(connection, workspace, person.streams, point.position)
    states = snapshots.load_states(connection, workspace, versions)
    state = profile_state.merge(states, person)
    return ProfileAsOf(point, person, state) if state.identifiers else None
