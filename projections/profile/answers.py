"""Response models of the profile queries."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from domain.core.time import format_utc_or_none
from domain.identity.resolved_profile import ResolvedProfile
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState
from projections.kit.shown_profile import (
    AsOfPoint,
    ProfileIdentifier,
    ProfileSnapshot,
    identifiers_json,
)


class ProfileSummary(BaseModel):
    """A profile as lists show it."""

    id: UUID
    identifiers: list[ProfileIdentifier] = Field(description="Strongest kind first")
    name: str | None
    email: str | None
    phone: str | None
    first_seen: datetime | None
    last_seen: datetime | None


class ProfileList(BaseModel):
    """A page of profiles."""

    profiles: list[ProfileSummary]
    next: str | None = Field(description="Cursor of the next page; null on the last")
    projected_to: int


class Profile(ProfileSnapshot):
    """One profile as it is, or as it was at a position of the ledger."""

    computed: dict[str, Any] | None = Field(
        description="Current values of computed attributes, by name; null with `as_of`"
    )
    as_of: AsOfPoint | None = Field(
        description="The last position of the ledger that the answer includes, if `as_of` was given;"
        " null: the profile as it is now"
    )
    projected_to: int


def summary_json(profile: ResolvedProfile, state: ProfileState) -> dict[str, Any]:
    """Returns a profile's merged state as lists show it."""
    return {
        "id": profile.id,
        "identifiers": identifiers_json(state.identifiers),
        "name": profile_view.display_name(state),
        "email": profile_view.register_text(state.attributes.get("email")),
        "phone": profile_view.register_text(state.attributes.get("phone")),
        "first_seen": format_utc_or_none(state.first_seen),
        "last_seen": format_utc_or_none(state.last_seen),
    }
