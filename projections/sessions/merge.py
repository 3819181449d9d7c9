"""Merges the rows of a profile's streams that have one session id into a session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select

from domain.core.time import format_utc
from domain.identity.resolved_profile import ResolvedProfile
from projections.runtime.ports import Reader
from projections.sessions import first_value
from projections.sessions.campaign import DIRECT_SOURCE, UTM_PARTS
from projections.sessions.tables import session

AnyRow = Row[*tuple[Any, ...]]

_c = session.c
SESSION_ROWS = select(
    _c.id,
    _c.stream,
    _c.started_at,
    _c.ended_at,
    _c.events,
    _c.pages,
    _c.channel,
    _c.device,
    _c.utm,
)


class SessionReads:
    """Provides `SessionsPort`."""

    def session(self: Reader, session_id: str, profile: ResolvedProfile) -> dict[str, Any] | None:
        """Returns a profile's session by its id as JSON; None if there is none."""
        query = SESSION_ROWS.where(
            _c.workspace == self.workspace, _c.id == session_id, _c.stream.in_(profile.streams)
        )
        rows = self.tx.execute(query).all()
        return merge_rows(rows, profile.id) if rows else None


def merge_rows(rows: Sequence[AnyRow], profile_id: UUID) -> dict[str, Any]:
    """Returns the session of at least one row, all of one profile and session id."""
    started_at, ended_at = min(row.started_at for row in rows), max(row.ended_at for row in rows)
    utm = msgspec.json.decode(first_value.decode_first(row.utm for row in rows) or "{}")
    return {
        "id": rows[0].id,
        "profile_id": profile_id,
        "channel": first_value.decode_first(row.channel for row in rows),
        "source": utm.setdefault("source", DIRECT_SOURCE),
        "device": first_value.decode_first(row.device for row in rows),
        "started_at": format_utc(started_at),
        "ended_at": format_utc(ended_at),
        "length_seconds": int((ended_at - started_at).total_seconds()),
        **{f"utm_{part}": utm.get(part) for part in UTM_PARTS},
        "events": sum(row.events for row in rows),
        "pages": sum(row.pages for row in rows),
    }
