"""Reads the stored states of streams."""

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
from projections.runtime.ports import Reader

_STATES = f"SELECT stream, state FROM {state} WHERE workspace = %s AND stream = ANY(%s)"

_ROWS = f"""
SELECT state.stream, state.last_seen_at, state.state, search.first_seen_at, search.terms
FROM {state} AS state LEFT JOIN {search} AS search
    ON search.workspace = state.workspace AND search.stream = state.stream
WHERE state.workspace = %s AND state.stream = ANY(%s)
"""


class StateRow(NamedTuple):
    """The stored state and search text of a stream."""

    stream: UUID
    last_seen_at: datetime | None
    state: ProfileState
    first_seen_at: datetime | None
    terms: str | None


def load_states(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, ProfileState]:
    """Returns the states of those streams that have one."""
    rows = tx.exec_driver_sql(_STATES, (workspace, list(streams)))
    return {stream: profile_state.decode(encoded) for stream, encoded in rows}


def load_state_rows(
    tx: Connection, workspace: int, streams: Iterable[UUID]
) -> Mapping[UUID, StateRow]:
    """Returns the rows of those streams that have one."""
    rows = tx.exec_driver_sql(_ROWS, (workspace, list(streams)))
    return {
        stream: StateRow(stream, last_seen_at, profile_state.decode(encoded), first_seen_at, terms)
        for stream, last_seen_at, encoded, first_seen_at, terms in rows
    }


class ProfileReads:
    """Provides `ProfilePort`."""

    def identifiers(
        self: Reader, profiles: Iterable[ResolvedProfile]
    ) -> Mapping[UUID, tuple[Identifier, ...]]:
        """Returns all identifiers of each profile, strongest kind first, by profile id."""
        profiles = list(profiles)
        streams = {stream for profile in profiles for stream in profile.streams}
        states = load_states(self.tx, self.workspace, streams)
        return {
            profile.id: strongest_first(
                {*profile.identifiers}.union(
                    *(states[stream].identifiers for stream in profile.streams if stream in states)
                )
            )
            for profile in profiles
        }
