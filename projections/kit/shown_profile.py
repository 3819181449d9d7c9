"""How a profile is shown, whichever state it is of: as it is now, or as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from domain.core.identifiers import Identifier
from domain.core.time import format_utc, format_utc_or_none
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import view as profile_view
from domain.profiles.as_of import LedgerPoint
from domain.profiles.state import ProfileState


class ProfileIdentifier(BaseModel):
    """A name that the person goes by."""

    kind: str = Field(description="user_id, email, phone, external_id or anonymous_id")
    value: str


class ProfileContact(BaseModel):
    """A way to reach the person."""

    kind: str = Field(description="email, phone, facebook or push")
    value: str
    since: datetime = Field(description="When it was last said")


class ProfileDevice(BaseModel):
    """A device with a push token."""

    token: str
    type: str | None
    last_used: datetime = Field(description="When it was last heard of")
    attributes: dict[str, Any]


class ProfileGroup(BaseModel):
    """A group, account or other object that the person is related to."""

    object_type_id: str
    id: str
    traits: dict[str, Any] = Field(description="What this person's calls said of it")
    relationship: dict[str, Any] = Field(description="What the person is to it")


class ProfileSnapshot(BaseModel):
    """What is known of one person."""

    id: UUID
    identifiers: list[ProfileIdentifier] = Field(description="Strongest kind first")
    name: str | None
    attributes: dict[str, Any] = Field(description="The latest word on each top-level trait")
    tags: list[str]
    contacts: list[ProfileContact]
    groups: list[ProfileGroup]
    devices: list[ProfileDevice]
    counts: dict[str, int] = Field(description="Messages of each name")
    first_seen: datetime | None
    last_seen: datetime | None
    full: list[str] = Field(
        description="Parts that hold 1,000 entries, null ones counted, which is the most: the name,"
        " the contacts, then the first in order; the rest are in the timeline and the history"
    )
    absorbed: list[UUID] = Field(description="Other ids of the person; they answer, too")


class AsOfPoint(BaseModel):
    """A position of the ledger, and when it was reached."""

    position: int
    instant: datetime


def profile_json(profile: ResolvedProfile, state: ProfileState) -> dict[str, Any]:
    """Return all that a person's joined state shows, for `msgspec.json` to encode."""
    return {
        "id": profile.id,
        "identifiers": identifiers_json(state.identifiers),
        "name": profile_view.display_name(state),
        "attributes": profile_view.attributes(state),
        "tags": profile_view.tags(state),
        "contacts": [
            it._asdict() | {"since": format_utc(it.since)} for it in profile_view.contacts(state)
        ],
        "groups": [it._asdict() for it in profile_view.groups(state)],
        "devices": [
            it._asdict() | {"last_used": format_utc(it.last_used)}
            for it in profile_view.devices(state)
        ],
        "counts": dict(sorted(state.counts.items())),
        "first_seen": format_utc_or_none(state.first_seen),
        "last_seen": format_utc_or_none(state.last_seen),
        "full": profile_view.truncated_parts(state),
        "absorbed": profile.absorbed,
    }


def identifiers_json(values: tuple[Identifier, ...]) -> list[dict[str, str]]:
    """Return identifiers as answers show them."""
    return [it._asdict() for it in values]


def point_json(point: LedgerPoint) -> dict[str, Any]:
    """Return a place of the ledger as answers show it."""
    return {"position": point.position, "instant": format_utc(point.recorded_at)}
