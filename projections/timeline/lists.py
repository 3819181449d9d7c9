"""Queries of the timeline: the events of the workspace, and those of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, Field
from sqlalchemy import ColumnElement, select

from domain.core.errors import NotFound
from domain.events import payload
from projections.kit import instants, pages, where
from projections.runtime.ports import IdentityPort
from projections.runtime.projection import Query
from projections.timeline import answers, listing
from projections.timeline.tables import MESSAGE, timeline

_c = timeline.c


class EventFilterParams(pages.PageParams):
    """Filters, all of which an event must match, and a page."""

    model_config = ConfigDict(populate_by_name=True)

    name: str | None = Field(None, description="Event name, such as purchase or page_view")
    from_: str | None = Field(
        None,
        alias="from",
        description="Occurred at or after: an instant, or a date or time in `tz`",
    )
    to: str | None = Field(
        None, description="Occurred before: an instant, or a date or time in `tz`"
    )
    tz: str = Field("UTC", description="IANA time zone of `from` and `to`, such as Europe/Berlin")
    channel: str | None = Field(None, description="Channel, such as web, mobile, server")
    session: str | None = Field(None, description="Session id")
    where: list[str] = Field(
        [],
        max_length=20,
        description="Comparison of a property, such as `properties.total>100`, "
        '`properties.items[].type=monitor`, `properties["a b"]="x"`, `properties.coupon exists`',
    )
    orphaned: bool | None = Field(None, description="True: only events without a session")
    derived: bool | None = Field(
        None,
        description="True: only events that Foldline derived, such as `email_changed`; false: only"
        " received events. By default a timeline shows both, and so does a list by `name`",
    )


class ProfileTimelineQuery(EventFilterParams):
    """One profile and the filters on its timeline."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")


class EventListParams(EventFilterParams):
    """Filters over all events of the workspace."""

    profile: str | None = Field(
        None, description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`"
    )
    anonymous: bool | None = Field(
        None, description="True: only events with nothing but an anonymous id; false: only others"
    )


def _conditions(params: EventFilterParams) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    zone = instants.parse_zone(params.tz)
    if params.name is not None:
        conditions.append(_c.name == payload.storable_name(params.name))
    if params.from_ is not None:
        conditions.append(_c.occurred_at >= instants.parse_instant(params.from_, zone, "from"))
    if params.to is not None:
        conditions.append(_c.occurred_at < instants.parse_instant(params.to, zone, "to"))
    if params.channel is not None:
        conditions.append(_c.channel == payload.storable_name(params.channel))
    if params.session is not None:
        conditions.append(_c.session_id == payload.storable_name(params.session))
    if params.orphaned is not None:
        conditions.append(
            _c.session_id.is_(None) if params.orphaned else _c.session_id.is_not(None)
        )
    if params.derived is not None:
        conditions.append(_c.ordinal != MESSAGE if params.derived else _c.ordinal == MESSAGE)
    return conditions + [where.sql_condition(_c.properties, text) for text in params.where]


def _streams(reader: IdentityPort, reference: str) -> Sequence[UUID]:
    return reader.find_profile(reference).streams


def list_events(reader: IdentityPort, params: EventListParams) -> dict[str, Any]:
    """Returns a page of the workspace's events."""
    conditions = _conditions(params)
    if params.derived is None and params.name is None:
        conditions.append(_c.ordinal == MESSAGE)
    if params.anonymous is not None:
        conditions.append(
            _c.subject == "anonymous_id" if params.anonymous else _c.subject != "anonymous_id"
        )
    if params.profile is None:
        return listing.list_page(reader, "events", conditions, params)
    conditions.append(_c.subject.is_not(None))
    return listing.list_page(reader, "events", conditions, params, _streams(reader, params.profile))


def list_profile_timeline(reader: IdentityPort, params: ProfileTimelineQuery) -> dict[str, Any]:
    """Returns a page of one profile's events.  Raises NotFound for an unknown profile."""
    streams = _streams(reader, params.ref)
    conditions = [_c.subject.is_not(None), *_conditions(params)]
    answer = listing.list_page(reader, "timeline", conditions, params, streams)
    if not answer["timeline"] and not _has_any(reader, streams):
        raise NotFound(f"no profile {params.ref!r} is known in this workspace", profile=params.ref)
    return answer


def _has_any(reader: IdentityPort, streams: Sequence[UUID]) -> bool:
    conditions = (_c.workspace == reader.workspace, _c.stream.in_(streams), _c.subject.is_not(None))
    return reader.tx.execute(select(_c.position).where(*conditions).limit(1)).first() is not None


events = Query(
    "/events", EventListParams, answers.EventList, list_events, "List events, newest first"
)

profile_timeline = Query(
    "/profiles/{ref}/timeline",
    ProfileTimelineQuery,
    answers.ProfileTimeline,
    list_profile_timeline,
    "List a profile's events, newest first",
)
