"""What the timeline's queries answer, as the published schema shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from domain.events.message import MessageKind
from projections.kit.answers import Session
from projections.kit.shown_profile import ProfileSnapshot
from projections.kit.user_agent import DeviceType


class EventSummary(BaseModel):
    """An event as lists show it."""

    id: UUID
    position: int = Field(description="Place in the workspace's ledger, from 1")
    message_id: str = Field(description="Of a derived event: its own id, for nobody sent it")
    kind: MessageKind | Literal["derived"]
    name: str
    profile_id: UUID | None = Field(description="Null for a system event")
    occurred_at: datetime
    received_at: datetime
    recorded_at: datetime
    channel: str | None
    session_id: str | None
    source: str = Field(description="The dialect that it came in")
    properties: dict[str, Any] = Field(description="Of an identify: the traits")


class EventList(BaseModel):
    """A page of events, newest first."""

    events: list[EventSummary]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class ProfileTimeline(BaseModel):
    """A page of what one profile did, newest first."""

    timeline: list[EventSummary]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class PageView(BaseModel):
    """What a page view shows beyond what was sent."""

    title: str | None
    url: str | None = Field(description="Cut at 1,500 characters")
    domain: str | None
    path: str | None = Field(description="Begins with /")
    referrer: str | None
    device_type: DeviceType = Field(description="By the User-Agent")
    browser_name: str | None
    browser_version: str | None
    os: str | None = Field(description="With its version")
    browser_language: str | None
    website_language: str | None


class EventDetail(EventSummary):
    """One event with all that was received."""

    caused_by: UUID | None = Field(
        description="Of a derived event: the one that it is derived from"
    )
    sent_at: datetime | None
    version: int = Field(description="Place in the profile's own stream, from 1")
    session: Session | None = Field(description="Null for an event without a session")
    page_view: PageView | None = Field(description="Null for an event that is no page view")
    profile: ProfileSnapshot | None = Field(
        description="The profile as it was once this event was recorded; null for a system event"
    )
    payload: Any = Field(description="The message as received, as JSON")
    raw: str = Field(description="The message as received, byte for byte")
    raw_encoding: Literal["utf-8", "base64"]
    projected_to: int
