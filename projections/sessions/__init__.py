"""Sessions: visits, made of the messages that share a session id."""

from __future__ import annotations

from projections.runtime import erasure
from projections.runtime.projection import Projection
from projections.sessions import tables
from projections.sessions.fold import apply
from projections.sessions.merge import SessionReads
from projections.sessions.queries import profile_sessions, session, sessions

__all__ = ["SessionReads", "projection"]

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    weight=4,
    queries=(sessions, session, profile_sessions),
    erase=erasure.erase_by_stream(tables.session),
)
