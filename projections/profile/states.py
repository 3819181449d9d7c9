"""The stored states of streams, read for an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain.core.identifiers import Identifier
from domain.identity.resolved_profile import ResolvedProfile, strongest_first
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


class StateRow(NamedTuple):
    """A stream, as the tables have it."""

    stream: UUID
    last_seen_at: datetime | None
    state: ProfileState
    first_seen_at: datetime | None
    words: str | None


def load_states(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, ProfileState]:
    """Return the states of those streams that have one."""
    rows = tx.exec_driver_sql(_STATES, (workspace, list(streams)))
    return {stream: profile_state.decode(it) for stream, it in rows}


def load_state_rows(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, StateRow]:
    """Return all that is kept of those streams."""
    found = tx.exec_driver_sql(_ROWS, (workspace, list(streams)))
    return {
        stream: StateRow(stream, seen_at, profile_state.decode(it), met_at, words)
        for stream, seen_at, it, met_at, words in found
    }


def load_identifiers(
    tx: Connection, workspace: int, profiles: Iterable[ResolvedProfile]
) -> Mapping[UUID, tuple[Identifier, ...]]:
    """Return all names that each person goes by, strongest kind first, by the person's id."""
    asked = list(profiles)
    known = load_states(tx, workspace, {stream for it in asked for stream in it.streams})
    return {
        it.id: strongest_first(
            {*it.identifiers}.union(
                *(known[stream].identifiers for stream in it.streams if stream in known)
            )
        )
        for it in asked
    }
