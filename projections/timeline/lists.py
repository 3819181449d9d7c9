"""The event list of a workspace and the timeline of a profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, select

from domain.core.errors import NotFound
from domain.events import payload
from projections.kit import instants, references, where
from projections.runtime.projection import Query, Reader
from projections.timeline import answers, listing
from projections.timeline.tables import MESSAGE, timeline

_c = timeline.c


class TimelineParams(BaseModel):
    """Filters, all of which an event has to meet."""

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
        description="True: only what Foldline derived, such as `email_changed`; false: only what"
        " was received. By default a timeline shows both, and so does a list by `name`",
    )
    cursor: str | None = Field(None, description="`next` of the page before")
    limit: int = Field(50, ge=1, le=500)


class ProfileTimelineParams(TimelineParams):
    """One profile and the filters on its timeline."""

    ref: str = Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")


class EventParams(TimelineParams):
    """Filters over all events of the workspace."""

    profile: str | None = Field(
        None, description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`"
    )
    anonymous: bool | None = Field(
        None, description="True: only what came in under an anonymous id alone; false: the rest"
    )


def _conditions(params: TimelineParams) -> list[ColumnElement[bool]]:
    met: list[ColumnElement[bool]] = []
    zone = instants.zone(params.tz)
    if params.name is not None:
        met.append(_c.name == payload.name_of(params.name))
    if params.from_ is not None:
        met.append(_c.occurred_at >= instants.instant(params.from_, zone, "from"))
    if params.to is not None:
        met.append(_c.occurred_at < instants.instant(params.to, zone, "to"))
    if params.channel is not None:
        met.append(_c.channel == payload.name_of(params.channel))
    if params.session is not None:
        met.append(_c.session_id == payload.name_of(params.session))
    if params.orphaned is not None:
        met.append(_c.session_id.is_(None) if params.orphaned else _c.session_id.is_not(None))
    if params.derived is not None:
        met.append(_c.ordinal != MESSAGE if params.derived else _c.ordinal == MESSAGE)
    return met + [where.condition(_c.properties, each) for each in params.where]


def _streams(reader: Reader, reference: str) -> Sequence[UUID]:
    return reader.person(references.stream(reference, reader.stream_of)).streams


def answer_events(reader: Reader, params: EventParams) -> dict[str, Any]:
    """Answer a page of the workspace's events."""
    met = _conditions(params)
    if params.derived is None and params.name is None:
        met.append(_c.ordinal == MESSAGE)
    if params.anonymous is not None:
        met.append(
            _c.subject == "anonymous_id" if params.anonymous else _c.subject != "anonymous_id"
        )
    if params.profile is None:
        return listing.page(reader, "events", met, params)
    met.append(_c.subject.is_not(None))
    return listing.page(reader, "events", met, params, _streams(reader, params.profile))


def answer_profile_timeline(reader: Reader, params: ProfileTimelineParams) -> dict[str, Any]:
    """Answer a page of one profile's events.  Raises NotFound for a profile never heard of."""
    streams = _streams(reader, params.ref)
    met = [_c.subject.is_not(None), *_conditions(params)]
    answer = listing.page(reader, "timeline", met, params, streams)
    if not answer["timeline"] and not _has_any(reader, streams):
        raise NotFound(f"no profile {params.ref!r} is known in this workspace", profile=params.ref)
    return answer


def _has_any(reader: Reader, streams: Sequence[UUID]) -> bool:
    theirs = (_c.workspace == reader.workspace, _c.stream.in_(streams), _c.subject.is_not(None))
    return reader.tx.execute(select(_c.position).where(*theirs).limit(1)).first() is not None


events = Query(
    path="/events",
    params=EventParams,
    answers=answers.EventList,
    answer=answer_events,
    summary="List events, newest first",
)

profile_timeline = Query(
    path="/profiles/{ref}/timeline",
    params=ProfileTimelineParams,
    answers=answers.Timeline,
    answer=answer_profile_timeline,
    summary="List what a profile did, newest first",
)
