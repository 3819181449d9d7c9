"""Response models and JSON of a profile, as it is now or as of a position of the ledger."""

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
    """An identifier of the profile."""

    kind: str = Field(description="user_id, email, phone, external_id or anonymous_id")
    value: str


class ProfileContact(BaseModel):
    """A way to reach the profile."""

    kind: str = Field(description="email, phone, facebook or push")
    value: str
    since: datetime = Field(description="When it was last set")


class ProfileDevice(BaseModel):
    """A device with a push token."""

    token: str
    type: str | None
    last_used: datetime = Field(description="Time of its latest event")
    attributes: dict[str, Any]


class ProfileGroup(BaseModel):
    """A group, account or other object that the profile is related to."""

    object_type_id: str
    id: str
    traits: dict[str, Any] = Field(description="Traits of the object in this profile's calls")
    relationship: dict[str, Any] = Field(
        description="Attributes of the profile's relationship to it"
    )


class ProfileSnapshot(BaseModel):
    """A profile: identifiers, attributes, tags, contacts, groups, devices and activity."""

    id: UUID
    identifiers: list[ProfileIdentifier] = Field(description="Strongest kind first")
    name: str | None
    attributes: dict[str, Any] = Field(description="The latest value of each top-level trait")
    tags: list[str]
    contacts: list[ProfileContact]
    groups: list[ProfileGroup]
    devices: list[ProfileDevice]
    counts: dict[str, int] = Field(description="Number of messages by name")
    first_seen: datetime | None
    last_seen: datetime | None
    full: list[str] = Field(
        description="Parts that are at the limit of 1,000 entries, null ones counted: the name, the"
        " contacts, then the first in order; the rest are in the timeline and the history"
    )
    absorbed: list[UUID] = Field(
        description="Ids of profiles merged into this one; requests by them return this profile"
    )
    capped: bool = Field(
        description="Whether an identifier was linked with more than 1,000 others: the first ones count,"
        " the others are profiles of their own"
    )


class AsOfPoint(BaseModel):
    """A position of the ledger, and when its event was recorded."""

    position: int
    instant: datetime


def profile_json(profile: ResolvedProfile, state: ProfileState) -> dict[str, Any]:
    """Returns the JSON of a profile's merged state, for `msgspec.json` to encode."""
    return {
        "id": profile.id,
        "identifiers": identifiers_json(state.identifiers),
        "name": profile_view.display_name(state),
        "attributes": profile_view.attributes(state),
        "tags": profile_view.tags(state),
        "contacts": [
            c._asdict() | {"since": format_utc(c.since)} for c in profile_view.contacts(state)
        ],
        "groups": [group._asdict() for group in profile_view.groups(state)],
        "devices": [
            device._asdict() | {"last_used": format_utc(device.last_used)}
            for device in profile_view.devices(state)
        ],
        "counts": dict(sorted(state.counts.items())),
        "first_seen": format_utc_or_none(state.first_seen),
        "last_seen": format_utc_or_none(state.last_seen),
        "full": profile_view.truncated_parts(state),
        "absorbed": profile.absorbed,
        "capped": profile.is_capped,
    }


def identifiers_json(values: tuple[Identifier, ...]) -> list[dict[str, str]]:
    """Returns the JSON of identifiers."""
    return [identifier._asdict() for identifier in values]


def point_json(point: LedgerPoint) -> dict[str, Any]:
    """Returns the JSON of a point of the ledger."""
    return {"position": point.position, "instant": format_utc(point.recorded_at)}
