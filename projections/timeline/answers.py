"""What the timeline's queries answer, as the published schema shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from domain.message import MessageKind


class ListedEvent(BaseModel):
    """An event as lists show it."""

    id: UUID
    position: int = Field(description="Place in the workspace's ledger, from 1")
    message_id: str
    kind: MessageKind
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

    events: list[ListedEvent]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class Timeline(BaseModel):
    """A page of what one profile did, newest first."""

    timeline: list[ListedEvent]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class Session(BaseModel):
    """The visit that an event was part of, as far as it is known."""

    id: str
    channel: str | None
    started_at: datetime = Field(description="Time of its first event")
    ended_at: datetime = Field(description="Time of its last event")
    events: int


class EventDetail(ListedEvent):
    """One event with all that was received."""

    sent_at: datetime | None
    version: int = Field(description="Place in the profile's own stream, from 1")
    session: Session | None = Field(description="Null for an event without a session")
    payload: Any = Field(description="The message as received, as JSON")
    raw: str = Field(description="The message as received, byte for byte")
    raw_encoding: Literal["utf-8", "base64"]
    projected_to: int
