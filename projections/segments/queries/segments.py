"""Questions about segments: which there are, who is in them, who was, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Subquery,
    and_,
    cast,
    func,
    null,
    or_,
    select,
    tuple_,
    union_all,
)

from domain.core.errors import NotFound
from domain.core.time import format_utc, from_micros, to_micros
from domain.evaluation.accumulators import required_accumulators
from domain.evaluation.profile_context import ProfileContext
from projections.kit import cursors, instants, references
from projections.runtime.projection import Query, Reader
from projections.segments.definitions.segments import load_segment_index
from projections.segments.queries import schemas
from projections.segments.state import reader as stored
from projections.segments.tables import member, membership_interval, segment_version

_d, _m, _s = segment_version.c, member.c, membership_interval.c
_NOT_LEFT = [cast(null(), BigInteger).label(it) for it in ("left_at", "left_by")]


class SegmentListParams(BaseModel):
    """Which segments."""

    archived: bool = Field(False, description="Those that were archived, too")
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class SegmentParams(BaseModel):
    """Which segment."""

    id: str = Field(description="Id of the segment")


class SegmentMemberListParams(SegmentParams):
    """Whose page."""

    as_of: str | None = Field(
        None,
        max_length=100,
        description="Who was in it at this position or instant (a date or time without offset is UTC)",
    )
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=1000)


class MembershipListParams(BaseModel):
    """Whose segments."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")
    history: bool = Field(False, description="Those that the person has left, too")


class MembershipExplanationParams(SegmentParams):
    """Who, in which segment."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")


def list_segments(reader: Reader, params: SegmentListParams) -> dict[str, Any]:
    """Answer a page of segments, by their ids."""
    wanted = select(segment_version).where(_d.workspace == reader.workspace, _d.until.is_(None))
    if not params.archived:
        wanted = wanted.where(~_d.archived)
    if params.cursor is not None:
        wanted = wanted.where(_d.segment > cursors.decode_text(params.cursor))
    rows = reader.tx.execute(wanted.order_by(_d.segment).limit(params.limit + 1)).all()
    page = rows[: params.limit]
    return {
        "segments": [schemas.segment_json(it) for it in page],
        "next": cursors.encode_text(page[-1].segment) if len(rows) > len(page) else None,
        "projected_to": reader.projected_to,
    }


def get_segment(reader: Reader, params: SegmentParams) -> dict[str, Any]:
    """Answer one segment.  Raises NotFound."""
    row = _find_version(reader, params.id, _d.until.is_(None))
    inside = select(func.count()).where(_m.workspace == reader.workspace, _m.segment == params.id)
    return {
        **schemas.segment_json(row),
        "members": reader.tx.execute(inside).scalar_one(),
        "projected_to": reader.projected_to,
    }


def list_segment_members(reader: Reader, params: SegmentMemberListParams) -> dict[str, Any]:
    """Answer a page of members, those who entered last first.  Raises NotFound."""
    if params.as_of is None:
        row = _find_version(reader, params.id, _d.until.is_(None))
        inside = _current_members(reader, params.id)
    else:
        when = instants.parse_position_or_instant(params.as_of, "as_of")
        row = _find_version(reader, params.id, _happened_by(reader, when, _d.at, _d.position))
        inside = _members_as_of(reader, params.id, when)
    wanted, place = select(inside), (inside.c.entered_at, inside.c.person)
    if params.cursor is not None:
        at, person = cursors.decode_stream(params.cursor)
        wanted = wanted.where(tuple_(*place) < tuple_(to_micros(at), person))
    newest = wanted.order_by(*(it.desc() for it in place)).limit(params.limit + 1)
    rows = reader.tx.execute(newest).all()
    page = rows[: params.limit]
    names = reader.identifiers(reader.profiles({it.person for it in page}).values())
    return {
        "segment": params.id,
        "version": row.version,
        "members": [schemas.member_json(it, names.get(it.person, ())) for it in page],
        "next": cursors.encode_stream(from_micros(page[-1].entered_at), page[-1].person)
        if len(rows) > len(page)
        else None,
        "projected_to": reader.projected_to,
    }


def iterate_member_pages(
    reader: Reader, segment: str, as_of: str | None, size: int
) -> Iterator[list[dict[str, Any]]]:
    """Give out all members, page by page, at least one.  Raises NotFound."""
    asked = SegmentMemberListParams(id=segment, as_of=as_of, cursor=None, limit=size)
    while True:
        answer = list_segment_members(reader, asked)
        yield answer["members"]
        if answer["next"] is None:
            return
        asked = asked.model_copy(update={"cursor": answer["next"]})


def list_memberships(reader: Reader, params: MembershipListParams) -> dict[str, Any]:
    """Answer the segments that a person is in, or was."""
    person = reader.profile(references.resolve_stream(params.ref, reader.stream_of))
    rules = load_segment_index(reader.tx, reader.workspace)
    rows = stored.load_memberships(reader.tx, reader.workspace, rules, person.id)
    if params.history:
        past = select(membership_interval).where(
            _s.workspace == reader.workspace, _s.person == person.id
        )
        rows = [*rows, *reader.tx.execute(past)]
    newest = sorted(rows, key=lambda it: (-it.entered_at, -it.entered_by, it.segment))
    return {
        "profile_id": person.id,
        "segments": [schemas.membership_json(it) for it in newest],
        "projected_to": reader.projected_to,
    }


def explain_membership(reader: Reader, params: MembershipExplanationParams) -> dict[str, Any]:
    """Answer whether a person is in a segment, and why.  Raises NotFound.

    By the same conditions and memories that membership comes from, at this moment.
    """
    row = _find_version(reader, params.id, _d.until.is_(None), ~_d.archived)
    rules, clock = load_segment_index(reader.tx, reader.workspace), to_micros(datetime.now(UTC))
    stream = references.resolve_stream(params.ref, reader.stream_of)
    streams = stored.load_streams(reader.tx, reader.workspace, [stream], ())
    if all(it.first_event_at is None for it in streams.values()):
        raise NotFound(f"no profile {params.ref!r} is known in this workspace", profile=params.ref)
    condition = rules.segments[rules.ordinal_of[params.id]].condition
    asked = {it.key for it in required_accumulators(condition)}
    stored.load_state(reader.tx, reader.workspace, rules, streams, only_keys=asked)
    person = streams[stream].owner.profile_id
    now = stored.load_memberships(reader.tx, reader.workspace, rules, person)
    segments = {it.segment: it for it in now}
    known = ProfileContext(
        rules, [streams[it] for it in sorted(streams)], segments.__contains__
    ).evaluation_input
    inside = segments.get(params.id)
    return {
        "segment": params.id,
        "version": row.version,
        "profile_id": person,
        "member": inside is not None,
        "entered": None
        if inside is None
        else schemas.caused_at_json(inside.entered_at, inside.entered_by),
        "at": format_utc(from_micros(clock)),
        "explanation": condition.explain(known, clock),
        "projected_to": reader.projected_to,
    }


def _find_version(reader: Reader, segment: str, *conditions: ColumnElement[bool]) -> Row[Any]:
    wanted = select(segment_version).where(
        _d.workspace == reader.workspace, _d.segment == segment, *conditions
    )
    row = reader.tx.execute(wanted.order_by(_d.position.desc()).limit(1)).first()
    if row is None:
        raise NotFound(f"there is, or was then, no segment {segment!r}", segment=segment)
    return row


def _current_members(reader: Reader, segment: str, *conditions: ColumnElement[bool]) -> Subquery:
    mine = (_m.workspace == reader.workspace, _m.segment == segment)
    return select(member, *_NOT_LEFT).where(*mine, *conditions).subquery()


def _members_as_of(reader: Reader, segment: str, as_of: int | datetime) -> Subquery:
    mine = (_s.workspace == reader.workspace, _s.segment == segment)
    entered = _happened_by(reader, as_of, _s.entered_at, _s.entered_by)
    left = _happened_by(reader, as_of, _s.left_at, _s.left_by)
    still = _current_members(
        reader, segment, _happened_by(reader, as_of, _m.entered_at, _m.entered_by)
    )
    return union_all(
        select(still), select(membership_interval).where(*mine, entered, ~left)
    ).subquery()


def _happened_by(
    reader: Reader, as_of: int | datetime, at: ColumnElement[Any], position: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Return whether something had happened at an instant, or once the ledger had a position."""
    if isinstance(as_of, datetime):
        return at <= to_micros(as_of)
    recorded = reader.recorded_event(min(as_of, max(reader.projected_to, 1)))
    clock = 0 if recorded is None else to_micros(recorded.recorded_at)
    return or_(and_(position > 0, position <= as_of), and_(position == 0, at <= clock))


def _query(
    path: str, params: type[BaseModel], shape: type[BaseModel], answer: Any, summary: str
) -> Query:
    return Query(path=path, params=params, response_model=shape, handler=answer, summary=summary)


QUERIES = (
    _query("/segments", SegmentListParams, schemas.SegmentList, list_segments, "List segments"),
    _query(
        "/segments/{id}",
        SegmentParams,
        schemas.SegmentDetail,
        get_segment,
        "Show a segment and how many are in it",
    ),
    _query(
        "/segments/{id}/members",
        SegmentMemberListParams,
        schemas.SegmentMemberList,
        list_segment_members,
        "List who is in a segment, or was",
    ),
    _query(
        "/profiles/{ref}/segments",
        MembershipListParams,
        schemas.MembershipList,
        list_memberships,
        "List the segments that a person is in, or was",
    ),
    _query(
        "/segments/{id}/explain/{ref}",
        MembershipExplanationParams,
        schemas.MembershipExplanation,
        explain_membership,
        "Say why a person is in a segment or is not, and when that will change by itself",
    ),
)
