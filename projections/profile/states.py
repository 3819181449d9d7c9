"""The stored states of streams, read for an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.core.identifiers import Identifier
from domain.identity.resolved_profile import Person, strongest_first
from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from projections.profile.tables import search, state

_STATES = f"SELECT stream, state FROM {state} WHERE workspace = %s AND stream = ANY(%s)"

_ROWS = f"""
SELECT known.stream, known.seen_at, known.state, found.met_at, found.words
FROM {state} AS known LEFT JOIN {search} AS found
    ON found.workspace = known.workspace AND found.stream = known.stream
WHERE known.workspace = %s AND known.stream = ANY(%s)
"""


class Stored(NamedTuple):
    """A stream, as the tables have it."""

    stream: UUID
    seen_at: datetime | None
    state: ProfileState
    met_at: datetime | None
    words: str | None


def states(tx: Connection, workspace: int, streams: Iterable[UUID]) -> Mapping[UUID, ProfileState]:
    """Return the states of those streams that have one."""
    rows = tx.exec_driver_sql(_STATES, (workspace, list(streams)))
    return {stream: profile_state.decode(it) for stream, it in rows}


def rows(tx: Connection, workspace: int, streams: Iterable[UUID]) -> Mapping[UUID, Stored]:
    """Return all that is kept of those streams."""
    found = tx.exec_driver_sql(_ROWS, (workspace, list(streams)))
    return {
        stream: Stored(stream, seen_at, profile_state.decode(it), met_at, words)
        for stream, seen_at, it, met_at, words in found
    }


def names(
    tx: Connection, workspace: int, persons: Iterable[Person]
) -> Mapping[UUID, tuple[Identifier, ...]]:
    """Return all names that each person goes by, strongest kind first, by the person's id."""
    asked = list(persons)
    known = states(tx, workspace, {stream for it in asked for stream in it.streams})
    return {
        it.id: strongest_first(
            {*it.identifiers}.union(
                *(known[stream].identifiers for stream in it.streams if stream in known)
            )
        )
        for it in asked
    }
