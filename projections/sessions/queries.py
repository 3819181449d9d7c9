"""The sessions of a workspace, of a profile, and a single one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, literal, literal_column, tuple_

from domain.core.errors import InvalidRequest, NotFound
from domain.events import payload
from projections.kit import answers, cursors, instants, references
from projections.runtime.projection import Query, Reader
from projections.sessions.merge import SESSION_ROWS, AnyRow, merge_rows
from projections.sessions.tables import newest_first
from projections.sessions.tables import session as table

_c = table.c

_PROFILE = "Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`"


class _Params(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    from_: str | None = Field(
        None, alias="from", description="Began at or after: an instant, or a date or time in `tz`"
    )
    to: str | None = Field(None, description="Began before: an instant, or a date or time in `tz`")
    tz: str = Field("UTC", description="IANA time zone of `from` and `to`, such as Europe/Berlin")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class SessionListParams(_Params):
    """Whose sessions, and when they began."""

    profile: str | None = Field(None, description=_PROFILE)


class ProfileSessionListParams(_Params):
    """One profile, and when its sessions began."""

    ref: str = Field(description=_PROFILE)


class SessionParams(BaseModel):
    """Which session."""

    id: str = Field(description="Session id, as events show it")
    profile: str | None = Field(
        None, description=f"Needed if several people have a session with this id. {_PROFILE}"
    )


class SessionList(BaseModel):
    """A page of sessions, those that began last first."""

    sessions: list[answers.Session]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class SessionDetail(answers.Session):
    """One session."""

    projected_to: int


def list_sessions(reader: Reader, params: SessionListParams) -> dict[str, Any]:
    """Answer a page of the workspace's sessions."""
    return _page(reader, params, params.profile)


def list_profile_sessions(reader: Reader, params: ProfileSessionListParams) -> dict[str, Any]:
    """Answer a page of a profile's sessions; one that nobody has heard of has none."""
    return _page(reader, params, params.ref)


def _page(reader: Reader, params: _Params, profile: str | None) -> dict[str, Any]:
    """Answer the sessions that meet the conditions.

    A session of several streams has several rows, and is shown in the place of the first.
    """
    met = _conditions(reader, params, profile)
    limit, shown = params.limit, list[dict[str, Any]]()
    after = None if params.cursor is None else cursors.decode_session(params.cursor)
    while True:
        rows = _rows(reader, met, after, limit + 1)
        sessions = _by_first_row(reader, rows)
        for row in rows:
            session = sessions.get((row.id, row.stream))
            if session is not None:
                if len(shown) == limit:
                    return _answer(reader, shown, after)
                shown.append(session)
            after = row.started_at, row.stream, row.id
        if len(rows) <= limit:
            return _answer(reader, shown, None)


def _conditions(reader: Reader, params: _Params, profile: str | None) -> list[ColumnElement[bool]]:
    zone = instants.parse_zone(params.tz)
    met: list[ColumnElement[bool]] = []
    if profile is not None:
        person = reader.profile(references.resolve_stream(profile, reader.stream_of))
        met.append(_c.stream.in_(person.streams))
    if params.from_ is not None:
        met.append(_c.started_at >= instants.parse_instant(params.from_, zone, "from"))
    if params.to is not None:
        met.append(_c.started_at < instants.parse_instant(params.to, zone, "to"))
    return met


def _answer(reader: Reader, shown: list[dict[str, Any]], after: Any) -> dict[str, Any]:
    return {
        "sessions": shown,
        "next": None if after is None else cursors.encode_session(*after),
        "projected_to": reader.projected_to,
    }


def _rows(
    reader: Reader, met: list[ColumnElement[bool]], after: Any, limit: int
) -> Sequence[AnyRow]:
    wanted = SESSION_ROWS.where(_c.workspace == reader.workspace, *met)
    if after is not None:
        started_at, stream, session_id = after
        place = tuple_(literal(started_at), literal(stream), literal(session_id))
        wanted = wanted.where(tuple_(_c.started_at, _c.stream, _c.id) < place)
    # The limit is spelt out: as a parameter it is unknown to the planner, which then may sort all.
    limited = wanted.order_by(*newest_first).limit(literal_column(str(limit)))
    return reader.tx.execute(limited).all()


def _by_first_row(reader: Reader, rows: Sequence[AnyRow]) -> dict[tuple[str, UUID], dict[str, Any]]:
    """Return the whole sessions that the rows are part of, by id and stream of their first row."""
    sessions = _sessions(reader, {row.id for row in rows})
    return {
        (first.id, first.stream): merge_rows(parts, profile_id)
        for (_, profile_id), parts in sessions.items()
        for first in [min(parts, key=lambda it: (it.started_at, it.stream))]
    }


def _sessions(reader: Reader, ids: set[str]) -> dict[tuple[str, UUID], list[AnyRow]]:
    """Return the rows of the sessions with these ids, by id and person."""
    rows = reader.tx.execute(
        SESSION_ROWS.where(_c.workspace == reader.workspace, _c.id.in_(sorted(ids)))
    ).all()
    people = reader.profile_ids({row.stream for row in rows})
    found = defaultdict(list)
    for row in rows:
        found[row.id, people[row.stream]].append(row)
    return found


def get_session(reader: Reader, params: SessionParams) -> dict[str, Any]:
    """Answer one session.  Raises NotFound, and InvalidRequest if several people have it."""
    found = _sessions(reader, {payload.storable_name(params.id)})
    whose = {profile_id: parts for (_, profile_id), parts in found.items()}
    if params.profile is not None:
        profile_id = reader.profile(references.resolve_stream(params.profile, reader.stream_of)).id
        whose = {it: parts for it, parts in whose.items() if it == profile_id}
    if not whose:
        raise NotFound(f"no session {params.id[:100]!r} is known in this workspace", id=params.id)
    if len(whose) > 1:
        raise InvalidRequest(
            f"session {params.id[:100]!r} is of {len(whose)} profiles; say which with profile=",
            profiles=sorted(map(str, whose))[:10],
        )
    [(profile_id, parts)] = whose.items()
    return {**merge_rows(parts, profile_id), "projected_to": reader.projected_to}


sessions = Query(
    path="/sessions",
    params=SessionListParams,
    response_model=SessionList,
    handler=list_sessions,
    summary="List sessions, those that began last first",
)

session = Query(
    path="/sessions/{id}",
    params=SessionParams,
    response_model=SessionDetail,
    handler=get_session,
    summary="Show a session",
)

profile_sessions = Query(
    path="/profiles/{ref}/sessions",
    params=ProfileSessionListParams,
    response_model=SessionList,
    handler=list_profile_sessions,
    summary="List the sessions of a profile, those that began last first",
)
