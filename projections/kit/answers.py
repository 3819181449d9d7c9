"""Response models that several read models share."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


class Session(BaseModel):
    """A session: the events of one profile with one session id."""

    id: str
    profile_id: UUID
    channel: str | None
    source: str = Field(description="Source of the visit: `utm_source`, or `direct`")
    device: str | None = Field(
        description="unknown, mobile, tablet, desktop, spider, TV, console, or as it was sent"
    )
    started_at: datetime = Field(
        description="Time of the first event, or the start that a session event names"
    )
    ended_at: datetime = Field(
        description="Time of the last event, or the end that a session event names"
    )
    length_seconds: int = Field(description="From start to end, in whole seconds")
    utm_source: str
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    events: int
    pages: int = Field(description="Number of page views among the events")
