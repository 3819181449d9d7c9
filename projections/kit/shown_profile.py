"""How a profile is shown, whichever state it is of: as it is now, or as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from domain.core.identifiers import Identifier
from domain.identity.resolved_profile import Person
from domain.profiles import view as profile_view
from domain.profiles.as_of import Place
from domain.profiles.state import ProfileState
from projections.kit.instants import shown, shown_if_any


class ShownIdentifier(BaseModel):
    """A name that the person goes by."""

    kind: str = Field(description="user_id, email, phone, external_id or anonymous_id")
    value: str


class Contact(BaseModel):
    """A way to reach the person."""

    kind: str = Field(description="email, phone, facebook or push")
    value: str
    since: datetime = Field(description="When it was last said")


class Device(BaseModel):
    """A device with a push token."""

    token: str
    type: str | None
    last_used: datetime = Field(description="When it was last heard of")
    attributes: dict[str, Any]


class Group(BaseModel):
    """A group, account or other object that the person is related to."""

    object_type_id: str
    id: str
    traits: dict[str, Any] = Field(description="What this person's calls said of it")
    relationship: dict[str, Any] = Field(description="What the person is to it")


class ShownProfile(BaseModel):
    """What is known of one person."""

    id: UUID
    identifiers: list[ShownIdentifier] = Field(description="Strongest kind first")
    name: str | None
    attributes: dict[str, Any] = Field(description="The latest word on each top-level trait")
    tags: list[str]
    contacts: list[Contact]
    groups: list[Group]
    devices: list[Device]
    counts: dict[str, int] = Field(description="Messages of each name")
    first_seen: datetime | None
    last_seen: datetime | None
    full: list[str] = Field(
        description="Parts that hold 1,000 entries, null ones counted, which is the most: the name,"
        " the contacts, then the first in order; the rest are in the timeline and the history"
    )
    absorbed: list[UUID] = Field(description="Other ids of the person; they answer, too")


class ShownPlace(BaseModel):
    """A position of the ledger, and when it was reached."""

    position: int
    instant: datetime


def profile(person: Person, state: ProfileState) -> dict[str, Any]:
    """Return all that a person's joined state shows, for `msgspec.json` to encode."""
    return {
        "id": person.id,
        "identifiers": identifiers(state.identifiers),
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
        "full": profile_view.full(state),
        "absorbed": person.absorbed,
    }


def identifiers(known: tuple[Identifier, ...]) -> list[dict[str, str]]:
    """Return identifiers as answers show them."""
    return [it._asdict() for it in known]


def place(known: Place) -> dict[str, Any]:
    """Return a place of the ledger as answers show it."""
    return {"position": known.position, "instant": shown(known.recorded_at)}
