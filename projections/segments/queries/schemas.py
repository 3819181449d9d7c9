"""Answers about segments and their members: schemas, and JSON from rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw
from pydantic import BaseModel, Field
from sqlalchemy import Row

from domain.core.identifiers import Identifier
from domain.core.time import format_utc, from_micros
from projections.kit.shown_profile import ProfileIdentifier


class CausedAt(BaseModel):
    """When something began or ended, on the ledger's clock, and the event that caused it."""

    at: datetime
    position: int | None = Field(
        description="Position of the event that caused it; null if a timer did"
    )


class DefinitionWarning(BaseModel):
    """A part of a recorded definition that this version does not carry out."""

    path: str = Field(description="JSON pointer in the definition")
    message: str


class SegmentSummary(BaseModel):
    """The current version of a segment."""

    id: str
    name: str
    description: str
    condition: dict[str, Any] | None = Field(description="Null for a manual list")
    version: int = Field(description="Version: 1 for the first definition")
    archived: bool
    decided: CausedAt = Field(description="When this version was recorded")
    actor: str
    reason: str


class SegmentList(BaseModel):
    """A page of segments."""

    segments: list[SegmentSummary]
    next: str | None
    projected_to: int


class SegmentDetail(SegmentSummary):
    """A segment and its member count."""

    members: int
    projected_to: int


class SegmentMember(BaseModel):
    """A profile that is, or was, in a segment."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    entered: CausedAt
    left: CausedAt | None


class SegmentMemberList(BaseModel):
    """A page of members."""

    segment: str
    version: int = Field(description="Version of the segment at that time")
    members: list[SegmentMember]
    next: str | None
    projected_to: int


class Membership(BaseModel):
    """A period in which a profile is, or was, in a segment."""

    segment: str
    entered: CausedAt
    left: CausedAt | None


class MembershipList(BaseModel):
    """The segments of a profile."""

    profile_id: UUID
    segments: list[Membership]
    projected_to: int


class MembershipExplanation(BaseModel):
    """Why a profile is in a segment, or is not."""

    segment: str
    version: int
    profile_id: UUID
    member: bool
    entered: CausedAt | None
    at: datetime = Field(description="The instant for which the condition is evaluated")
    explanation: dict[str, Any] = Field(
        description="The condition, whether it holds, the events and values that count, `changes_at`:"
        " when the result can change without an event; and the same for its `parts`"
    )
    projected_to: int


def segment_json(row: Row[Any]) -> dict[str, Any]:
    """Returns a row of ``segment_version`` as JSON."""
    return {
        "id": row.segment,
        "name": row.name,
        "description": row.description,
        "condition": Raw(row.condition) if row.condition else None,
        "version": row.version,
        "archived": row.archived,
        "decided": caused_at_json(row.at, row.position),
        "actor": row.actor,
        "reason": row.reason,
    }


def raw_members(document: bytes) -> dict[str, Raw]:
    """Returns the members of a JSON object, their values as they were written."""
    return msgspec.json.decode(document, type=dict[str, Raw])


def member_json(row: Row[Any], identifiers: Iterable[Identifier]) -> dict[str, Any]:
    """Returns a row of ``member`` or ``membership_interval`` as a member of a segment."""
    return {
        "profile_id": row.profile,
        "identifiers": [identifier._asdict() for identifier in identifiers],
        **_interval_json(row),
    }


def membership_json(row: Row[Any]) -> dict[str, Any]:
    """Returns a row of ``member`` or ``membership_interval`` as a segment of a profile."""
    return {"segment": row.segment, **_interval_json(row)}


def caused_at_json(at: int, position: int) -> dict[str, Any]:
    """Returns an instant, in microseconds, and the position of its cause, 0 for a timer."""
    return {"at": format_utc(from_micros(at)), "position": position or None}


def _interval_json(row: Row[Any]) -> dict[str, Any]:
    left = None if row.left_at is None else caused_at_json(row.left_at, row.left_position)
    return {"entered": caused_at_json(row.entered_at, row.entered_position), "left": left}
