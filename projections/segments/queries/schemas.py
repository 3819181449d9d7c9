"""How segments and their members are shown."""

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
    """When something began or ended, on the ledger's clock, and what did it."""

    at: datetime
    position: int | None = Field(description="Of the event that did it; null: only time did")


class SegmentSummary(BaseModel):
    """A segment as it was last decided."""

    id: str
    name: str
    description: str
    condition: dict[str, Any] | None = Field(description="Null: a list that is kept by hand")
    version: int = Field(description="How many decisions that took")
    archived: bool
    decided: CausedAt
    actor: str
    reason: str


class SegmentList(BaseModel):
    """A page of segments."""

    segments: list[SegmentSummary]
    next: str | None
    projected_to: int


class SegmentDetail(SegmentSummary):
    """A segment, and how many are in it."""

    members: int
    projected_to: int


class SegmentMember(BaseModel):
    """Somebody in a segment."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    entered: CausedAt
    left: CausedAt | None


class SegmentMemberList(BaseModel):
    """A page of members."""

    segment: str
    version: int = Field(description="Of the definition that was in effect then")
    members: list[SegmentMember]
    next: str | None
    projected_to: int


class Membership(BaseModel):
    """A time that the person is, or was, in a segment."""

    segment: str
    entered: CausedAt
    left: CausedAt | None


class MembershipList(BaseModel):
    """The segments of a person."""

    profile_id: UUID
    segments: list[Membership]
    projected_to: int


class MembershipExplanation(BaseModel):
    """Why a person is in a segment, or is not."""

    segment: str
    version: int
    profile_id: UUID
    member: bool
    entered: CausedAt | None
    at: datetime = Field(description="The instant that it is explained for")
    explanation: dict[str, Any] = Field(
        description="The condition, whether it holds, what that rests on, `changes_at`: when it may"
        " change by itself; and the same of its `parts`"
    )
    projected_to: int


def segment_json(row: Row[Any]) -> dict[str, Any]:
    """Return a row of `definition` as it is shown."""
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
    """Return the members of a JSON object as they were written."""
    return msgspec.json.decode(document, type=dict[str, Raw])


def member_json(row: Row[Any], identifiers: Iterable[Identifier]) -> dict[str, Any]:
    """Return a row of `member` or `stay` as a member."""
    return {
        "profile_id": row.person,
        "identifiers": [it._asdict() for it in identifiers],
        **_interval_json(row),
    }


def membership_json(row: Row[Any]) -> dict[str, Any]:
    """Return a row of `member` or `stay` as one of the person's segments."""
    return {"segment": row.segment, **_interval_json(row)}


def caused_at_json(at: int, position: int) -> dict[str, Any]:
    """Return an instant and what made it one."""
    return {"at": format_utc(from_micros(at)), "position": position or None}


def _interval_json(row: Row[Any]) -> dict[str, Any]:
    left = None if row.left_at is None else caused_at_json(row.left_at, row.left_by)
    return {"entered": caused_at_json(row.entered_at, row.entered_by), "left": left}
