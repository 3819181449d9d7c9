"""Queries of segments, their members, and why a profile is a member."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

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
from domain.evaluation.profile_context import ProfileContext
from projections.kit import cursors, instants, pages, references
from projections.kit.pages import split_page
from projections.runtime.ports import IdentityPort, LedgerPort, ProfilePort, Reader
from projections.runtime.projection import Query
from projections.segments.definitions.index import load_segment_index
from projections.segments.queries import schemas
from projections.segments.state import reader as state_reader
from projections.segments.tables import member, membership_interval, segment_version

_v, _m, _i = segment_version.c, member.c, membership_interval.c
_NOT_LEFT = [cast(null(), BigInteger).label(name) for name in ("left_at", "left_position")]
"""The last columns of ``membership_interval``, for rows of ``member``."""


class _Ports(ProfilePort, LedgerPort, Protocol): ...


class SegmentParams(BaseModel):
    """One segment."""

    id: str = Field(description="Id of the segment")


class SegmentMemberListParams(SegmentParams):
    """A page of the members of a segment."""

    as_of: str | None = Field(
        None,
        max_length=100,
        description="Members as of this position or instant (a date or time without offset is UTC)",
    )
    cursor: str | None = Field(None, description="`next` of the previous page")
    limit: int = Field(50, ge=1, le=1000)


class MembershipListParams(BaseModel):
    """The segments of a profile."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")
    history: bool = Field(False, description="Include segments that the profile has left")


class MembershipExplanationParams(SegmentParams):
    """A profile and a segment."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")


def list_segments(reader: Reader, params: pages.DefinitionListParams) -> dict[str, Any]:
    """Returns a page of segments in the order of their ids."""
    query = select(segment_version).where(
        _v.workspace == reader.workspace, _v.replaced_at_position.is_(None)
    )
    if not params.archived:
        query = query.where(~_v.archived)
    page, next_cursor = pages.load_page(reader.tx, query, _v.segment, params)
    return {
        "segments": [schemas.segment_json(row) for row in page],
        "next": next_cursor,
        "projected_to": reader.projected_to,
    }


def get_segment(reader: Reader, params: SegmentParams) -> dict[str, Any]:
    """Returns one segment and its member count.  Raises NotFound."""
    row = _find_version(reader, params.id, _v.replaced_at_position.is_(None))
    count = select(func.count()).where(_m.workspace == reader.workspace, _m.segment == params.id)
    return {
        **schemas.segment_json(row),
        "members": reader.tx.execute(count).scalar_one(),
        "projected_to": reader.projected_to,
    }


def list_segment_members(reader: _Ports, params: SegmentMemberListParams) -> dict[str, Any]:
    """Returns a page of members, the last to enter first.  Raises NotFound."""
    if params.as_of is None:
        version = _find_version(reader, params.id, _v.replaced_at_position.is_(None))
        members = _current_members(reader, params.id)
    else:
        as_of = instants.parse_position_or_instant(params.as_of, "as_of")
        version = _find_version(reader, params.id, _happened_by(reader, as_of, _v.at, _v.position))
        members = _members_as_of(reader, params.id, as_of)
    query, sort_key = select(members), (members.c.entered_at, members.c.profile)
    if params.cursor is not None:
        at, profile = cursors.decode_stream(params.cursor)
        query = query.where(tuple_(*sort_key) < tuple_(to_micros(at), profile))
    newest = query.order_by(*(column.desc() for column in sort_key)).limit(params.limit + 1)
    rows = reader.tx.execute(newest).all()
    page, next_page = split_page(
        rows,
        params.limit,
        lambda row: cursors.encode_stream(from_micros(row.entered_at), row.profile),
    )
    identifiers = reader.identifiers(reader.profiles({row.profile for row in page}).values())
    return {
        "segment": params.id,
        "version": version.version,
        "members": [schemas.member_json(row, identifiers.get(row.profile, ())) for row in page],
        "next": next_page,
        "projected_to": reader.projected_to,
    }


def iterate_member_pages(
    reader: _Ports, segment: str, as_of: str | None, size: int
) -> Iterator[list[dict[str, Any]]]:
    """Yields all members in pages of a size, at least one page.  Raises NotFound."""
    params = SegmentMemberListParams(id=segment, as_of=as_of, cursor=None, limit=size)
    while True:
        page = list_segment_members(reader, params)
        yield page["members"]
        if page["next"] is None:
            return
        params = params.model_copy(update={"cursor": page["next"]})


def list_memberships(reader: IdentityPort, params: MembershipListParams) -> dict[str, Any]:
    """Returns the segments of a profile; with its history, those that it has left as well."""
    profile = reader.find_profile(params.ref)
    index = load_segment_index(reader.tx, reader.workspace)
    rows = state_reader.load_memberships(reader.tx, reader.workspace, index, profile.id)
    if params.history:
        past = select(membership_interval).where(
            _i.workspace == reader.workspace, _i.profile == profile.id
        )
        rows = [*rows, *reader.tx.execute(past)]
    newest = sorted(rows, key=lambda row: (-row.entered_at, -row.entered_position, row.segment))
    return {
        "profile_id": profile.id,
        "segments": [schemas.membership_json(row) for row in newest],
        "projected_to": reader.projected_to,
    }


def explain_membership(reader: LedgerPort, params: MembershipExplanationParams) -> dict[str, Any]:
    """Returns whether a profile is in a segment, and why.  Raises NotFound.

    Evaluates the same condition over the same accumulators as the fold, at the current time.
    """
    row = _find_version(reader, params.id, _v.replaced_at_position.is_(None), ~_v.archived)
    index, clock = load_segment_index(reader.tx, reader.workspace), to_micros(datetime.now(UTC))
    stream = references.resolve_stream(params.ref, reader.stream_of)
    streams = state_reader.load_streams(reader.tx, reader.workspace, [stream], ())
    if all(state.first_event_at is None for state in streams.values()):
        raise NotFound(f"no profile {params.ref!r} is known in this workspace", profile=params.ref)
    condition = index.order.segments[index.order.ordinal_of[params.id]].condition
    keys = {accumulator.key for accumulator in condition.accumulators()}
    state_reader.load_state(reader.tx, reader.workspace, index, streams, only_keys=keys)
    profile = streams[stream].owner.profile_id
    memberships = {
        membership.segment: membership
        for membership in state_reader.load_memberships(reader.tx, reader.workspace, index, profile)
    }
    evaluation_input = ProfileContext(
        index, [streams[id_] for id_ in sorted(streams)], memberships.__contains__
    ).evaluation_input
    membership = memberships.get(params.id)
    return {
        "segment": params.id,
        "version": row.version,
        "profile_id": profile,
        "member": membership is not None,
        "entered": None
        if membership is None
        else schemas.caused_at_json(membership.entered_at, membership.entered_position),
        "at": format_utc(from_micros(clock)),
        "explanation": condition.explain(evaluation_input, clock),
        "projected_to": reader.projected_to,
    }


def _find_version(reader: Reader, segment: str, *conditions: ColumnElement[bool]) -> Row[Any]:
    query = select(segment_version).where(
        _v.workspace == reader.workspace, _v.segment == segment, *conditions
    )
    row = reader.tx.execute(query.order_by(_v.position.desc()).limit(1)).first()
    if row is None:
        raise NotFound(
            f"segment {segment!r} does not exist, or did not at the time asked for",
            segment=segment,
        )
    return row


def _current_members(reader: Reader, segment: str, *conditions: ColumnElement[bool]) -> Subquery:
    of_segment = (_m.workspace == reader.workspace, _m.segment == segment)
    return select(member, *_NOT_LEFT).where(*of_segment, *conditions).subquery()


def _members_as_of(reader: LedgerPort, segment: str, as_of: int | datetime) -> Subquery:
    of_segment = (_i.workspace == reader.workspace, _i.segment == segment)
    entered = _happened_by(reader, as_of, _i.entered_at, _i.entered_position)
    left = _happened_by(reader, as_of, _i.left_at, _i.left_position)
    current = _current_members(
        reader, segment, _happened_by(reader, as_of, _m.entered_at, _m.entered_position)
    )
    return union_all(
        select(current), select(membership_interval).where(*of_segment, entered, ~left)
    ).subquery()


def _happened_by(
    reader: LedgerPort, as_of: int | datetime, at: ColumnElement[Any], position: ColumnElement[Any]
) -> ColumnElement[bool]:
    """Returns whether a change had happened at an instant, or when the ledger had a position."""
    if isinstance(as_of, datetime):
        return at <= to_micros(as_of)
    recorded = reader.recorded_event(min(as_of, max(reader.projected_to, 1)))
    clock = 0 if recorded is None else to_micros(recorded.recorded_at)
    return or_(and_(position > 0, position <= as_of), and_(position == 0, at <= clock))


QUERIES = (
    Query(
        "/segments", pages.DefinitionListParams, schemas.SegmentList, list_segments, "List segments"
    ),
    Query(
        "/segments/{id}",
        SegmentParams,
        schemas.SegmentDetail,
        get_segment,
        "Get a segment and its member count",
    ),
    Query(
        "/segments/{id}/members",
        SegmentMemberListParams,
        schemas.SegmentMemberList,
        list_segment_members,
        "List the members of a segment, now or as of a point in time",
    ),
    Query(
        "/profiles/{ref}/segments",
        MembershipListParams,
        schemas.MembershipList,
        list_memberships,
        "List the segments of a profile",
    ),
    Query(
        "/segments/{id}/explain/{ref}",
        MembershipExplanationParams,
        schemas.MembershipExplanation,
        explain_membership,
        "Explain why a profile is (not) in a segment, and when that can change",
    ),
)
