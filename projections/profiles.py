"""How a profile is shown, whichever state it is of: as it is now, or as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from domain import profile_view
from domain.person import Person
from domain.profile_state import ProfileState
from projections.instants import shown, shown_if_any


class ShownIdentifier(BaseModel):
    """A name that the person goes by."""

    kind: str
    value: str


class ShownContact(BaseModel):
    """A way to reach the person."""

    kind: Literal["email", "phone", "facebook", "push"]
    value: str
    since: datetime = Field(description="When it was last said")


class ShownGroup(BaseModel):
    """A group, account or other object that the person is related to."""

    object_type_id: str
    id: str
    traits: dict[str, Any]
    relationship: dict[str, Any]


class ShownDevice(BaseModel):
    """A device with a push token."""

    token: str
    type: str | None
    last_used: datetime
    attributes: dict[str, Any]


class ShownProfile(BaseModel):
    """What is known of a person."""

    id: UUID
    identifiers: list[ShownIdentifier] = Field(description="Strongest kind first")
    name: str | None
    attributes: dict[str, Any] = Field(description="The latest word on each top-level trait")
    tags: list[str]
    contacts: list[ShownContact]
    groups: list[ShownGroup]
    devices: list[ShownDevice]
    counts: dict[str, int] = Field(description="Messages of each name")
    first_seen: datetime | None
    last_seen: datetime | None
    absorbed: list[UUID] = Field(description="Other ids under which the profile is found")


def profile(person: Person, state: ProfileState) -> dict[str, Any]:
    """Return a person with their joined state, as answers show it."""
    return {
        "id": person.id,
        "identifiers": [it._asdict() for it in state.identifiers],
        "name": profile_view.name(state),
        "attributes": profile_view.attributes(state),
        "tags": profile_view.tags(state),
        "contacts": [
            it._asdict() | {"since": shown(it.since)} for it in profile_view.contacts(state)
        ],
        "groups": [it._asdict() for it in profile_view.groups(state)],
        "devices": [
            it._asdict() | {"last_used": shown(it.last_used)} for it in profile_view.devices(state)
        ],
        "counts": dict(sorted(state.counts.items())),
        "first_seen": shown_if_any(state.first_seen),
        "last_seen": shown_if_any(state.last_seen),
        "absorbed": person.absorbed,
    }
