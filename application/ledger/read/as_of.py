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
from domain.profiles.as_of import Past, Place


def past(
    connection: Connection[Any],
    workspace: int,
    stream: UUID,
    stream_of: Callable[[Identifier], UUID],
    place: Place,
) -> Past | None:
    """Return the person whose stream it is as they were at a place; None of somebody unheard of."""
    person = profiles.person(connection, workspace, stream, stream_of, place.position)
    versions = versions_at(connection, workspace, person.streams, place.position)
    states = snapshots.states_at(connection, workspace, versions)
    state = profile_state.join(states, person)
    return Past(place, person, state) if state.identifiers else None
