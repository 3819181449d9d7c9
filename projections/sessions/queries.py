"""Queries of sessions: those of the workspace, those of a profile, and a single one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, literal, literal_column, tuple_

from domain.core.errors import InvalidRequest, NotFound
from domain.events import payload
from projections.kit import answers, cursors, instants, pages
from projections.runtime.ports import IdentityPort
from projections.runtime.projection import Query
from projections.sessions.merge import SESSION_ROWS, AnyRow, merge_rows
from projections.sessions.tables import newest_first
from projections.sessions.tables import session as table

_c = table.c

_PROFILE = "Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`"


class _Params(pages.PageParams):
    model_config = ConfigDict(populate_by_name=True)

    from_: str | None = Field(
        None, alias="from", description="Began at or after: an instant, or a date or time in `tz`"
    )
    to: str | None = Field(None, description="Began before: an instant, or a date or time in `tz`")
    tz: str = Field("UTC", description="IANA time zone of `from` and `to`, such as Europe/Berlin")


class SessionListParams(_Params):
    """Filters by profile and start, and a page of sessions."""

    profile: str | None = Field(None, description=_PROFILE)


class ProfileSessionListParams(_Params):
    """A profile, a filter by start, and a page of sessions."""

    ref: str = Field(description=_PROFILE)


class SessionParams(BaseModel):
    """Id of a session, and its profile where several have one with this id."""

    id: str = Field(description="Session id, as events show it")
    profile: str | None = Field(
        None, description=f"Needed if several profiles have a session with this id. {_PROFILE}"
    )


class SessionList(BaseModel):
    """A page of sessions, newest first."""

    sessions: list[answers.Session]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class SessionDetail(answers.Session):
    """One session, and the position up to which the answer is complete."""

    projected_to: int


def list_sessions(reader: IdentityPort, params: SessionListParams) -> dict[str, Any]:
    """Returns a page of the workspace's sessions."""
    return _page(reader, params, params.profile)


def list_profile_sessions(reader: IdentityPort, params: ProfileSessionListParams) -> dict[str, Any]:
    """Returns a page of a profile's sessions; a profile that is not known has none."""
    return _page(reader, params, params.ref)


def _page(reader: IdentityPort, params: _Params, profile: str | None) -> dict[str, Any]:
    """Returns a page of the sessions that match the filters.

    A session of several streams has several rows, and is listed at the position of the first.
    """
    conditions = _conditions(reader, params, profile)
    limit, page = params.limit, list[dict[str, Any]]()
    after = None if params.cursor is None else cursors.decode_session(params.cursor)
    while True:
        rows = _rows(reader, conditions, after, limit + 1)
        sessions = _by_first_row(reader, rows)
        for row in rows:
            session = sessions.get((row.id, row.stream))
            if session is not None:
                if len(page) == limit:
                    return _answer(reader, page, after)
                page.append(session)
            after = row.started_at, row.stream, row.id
        if len(rows) <= limit:
            return _answer(reader, page, None)


def _conditions(
    reader: IdentityPort, params: _Params, profile: str | None
) -> list[ColumnElement[bool]]:
    zone = instants.parse_zone(params.tz)
    conditions: list[ColumnElement[bool]] = []
    if profile is not None:
        resolved = reader.find_profile(profile)
        conditions.append(_c.stream.in_(resolved.streams))
    if params.from_ is not None:
        conditions.append(_c.started_at >= instants.parse_instant(params.from_, zone, "from"))
    if params.to is not None:
        conditions.append(_c.started_at < instants.parse_instant(params.to, zone, "to"))
    return conditions


def _answer(reader: IdentityPort, page: list[dict[str, Any]], after: Any) -> dict[str, Any]:
    return {
        "sessions": page,
        "next": None if after is None else cursors.encode_session(*after),
        "projected_to": reader.projected_to,
    }


def _rows(
    reader: IdentityPort, conditions: list[ColumnElement[bool]], after: Any, limit: int
) -> Sequence[AnyRow]:
    query = SESSION_ROWS.where(_c.workspace == reader.workspace, *conditions)
    if after is not None:
        started_at, stream, session_id = after
        position = tuple_(literal(started_at), literal(stream), literal(session_id))
        query = query.where(tuple_(_c.started_at, _c.stream, _c.id) < position)
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all rows.
    limited = query.order_by(*newest_first).limit(literal_column(str(limit)))
    return reader.tx.execute(limited).all()


def _by_first_row(
    reader: IdentityPort, rows: Sequence[AnyRow]
) -> dict[tuple[str, UUID], dict[str, Any]]:
    """Returns the sessions that the rows are part of, by id and stream of their first row."""
    sessions = _sessions(reader, {row.id for row in rows})
    return {
        (first.id, first.stream): merge_rows(parts, profile_id)
        for (_, profile_id), parts in sessions.items()
        for first in [min(parts, key=lambda row: (row.started_at, row.stream))]
    }


def _sessions(reader: IdentityPort, ids: set[str]) -> dict[tuple[str, UUID], list[AnyRow]]:
    """Returns the rows of the sessions with these ids, by session id and profile id."""
    rows = reader.tx.execute(
        SESSION_ROWS.where(_c.workspace == reader.workspace, _c.id.in_(sorted(ids)))
    ).all()
    profile_ids = reader.profile_ids({row.stream for row in rows})
    sessions = defaultdict(list)
    for row in rows:
        sessions[row.id, profile_ids[row.stream]].append(row)
    return sessions


def get_session(reader: IdentityPort, params: SessionParams) -> dict[str, Any]:
    """Returns one session.  Raises NotFound, and InvalidRequest if several profiles have it."""
    sessions = _sessions(reader, {payload.storable_name(params.id)})
    by_profile = {profile_id: parts for (_, profile_id), parts in sessions.items()}
    if params.profile is not None:
        profile_id = reader.find_profile(params.profile).id
        by_profile = {id_: parts for id_, parts in by_profile.items() if id_ == profile_id}
    if not by_profile:
        raise NotFound(f"no session {params.id[:100]!r} is known in this workspace", id=params.id)
    if len(by_profile) > 1:
        raise InvalidRequest(
            f"session id {params.id[:100]!r} is used by {len(by_profile)} profiles;"
            " choose one with profile=",
            profiles=sorted(map(str, by_profile))[:10],
        )
    [(profile_id, parts)] = by_profile.items()
    return {**merge_rows(parts, profile_id), "projected_to": reader.projected_to}


sessions = Query(
    "/sessions", SessionListParams, SessionList, list_sessions, "List sessions, newest first"
)

session = Query("/sessions/{id}", SessionParams, SessionDetail, get_session, "Get a session")

profile_sessions = Query(
    "/profiles/{ref}/sessions",
    ProfileSessionListParams,
    SessionList,
    list_profile_sessions,
    "List the sessions of a profile, newest first",
)
