"""Response models of the timeline queries."""

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
    position: int = Field(description="Position in the workspace's ledger, from 1")
    message_id: str = Field(description="For a derived event, which no client sent: its own id")
    kind: MessageKind | Literal["derived"]
    name: str
    profile_id: UUID | None = Field(description="Null for a system event")
    occurred_at: datetime
    received_at: datetime
    recorded_at: datetime
    channel: str | None
    session_id: str | None
    source: str = Field(description="The wire format in which it was received")
    properties: dict[str, Any] = Field(description="For an identify call: the traits")


class EventList(BaseModel):
    """A page of events, newest first."""

    events: list[EventSummary]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class ProfileTimeline(BaseModel):
    """A page of a profile's events, newest first."""

    timeline: list[EventSummary]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class PageView(BaseModel):
    """Fields derived from a page view."""

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
    """One event with its payload as received."""

    caused_by: UUID | None = Field(
        description="For a derived event: the event that it is derived from"
    )
    sent_at: datetime | None
    version: int = Field(description="Version in the event's stream, from 1")
    session: Session | None = Field(description="Null for an event without a session")
    page_view: PageView | None = Field(description="Null for an event that is not a page view")
    profile: ProfileSnapshot | None = Field(
        description="The profile as of this event; null for a system event"
    )
    payload: Any = Field(description="The message as received, as JSON")
    raw: str = Field(description="The message as received, byte for byte")
    raw_encoding: Literal["utf-8", "base64"]
    projected_to: int
