"""The stored states of streams, read for an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from domain import profile_state
from domain.profile_state import ProfileState
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
