"""Request and response models of segments, their members and previews."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.core.errors import InvalidRequest
from domain.definitions.definition import DefinitionVersion
from interfaces.http.kit.command import CommandReason, ExpectedVersion, ResourceId
from interfaces.http.kit.definition_schemas import DefinitionAnswer, LedgerRevision
from interfaces.http.kit.json_response import Page
from interfaces.http.questions import QuestionBody
from projections.kit.shown_profile import ProfileIdentifier

EXAMPLE_CONDITION: dict[str, Any] = {
    "all": [
        {"event": "Order Completed", "count": {"at_least": 2}, "within": {"last": "30d"}},
        {"attribute": "plan", "op": "eq", "value": "pro"},
    ]
}
ListSide = Literal["add", "remove"]


class SegmentPath(BaseModel):
    """Path of a segment."""

    id: ResourceId


class SegmentBase(BaseModel):
    """Definition of a segment."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Big spenders",
                    "condition": EXAMPLE_CONDITION,
                    "reason": "spring campaign",
                },
                {"name": "Beta testers", "manual": True},
            ]
        },
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    condition: Any = Field(
        None,
        description="Membership condition. Invalid conditions return 400 with a JSON pointer in"
        " `details.path`.",
    )
    manual: bool = Field(False, description="Instead of a condition: a manual list.")
    reason: CommandReason = ""

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        if (self.condition is not None) == self.manual:
            raise ValueError('give either a condition or "manual": true')
        return self

    @property
    def definition(self) -> DefinitionVersion:
        """The domain's form; a manual list has an empty condition.  Raises InvalidRequest."""
        try:
            document = "" if self.manual else json.dumps(self.condition, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the condition is not valid JSON: {error}", path="") from None
        return DefinitionVersion(self.name, self.description, document.encode())


class SegmentCreate(SegmentBase):
    """Segment to create."""

    id: ResourceId | None = Field(None, description="Derived from the name if omitted.")


class SegmentReplace(SegmentBase):
    """New definition of a segment."""

    version: ExpectedVersion = None


class Segment(DefinitionAnswer):
    """A segment after a change."""

    manual: bool = Field(description="Whether it is a manual list.")
    condition: Any = Field(description="Null for a manual list.")


class SegmentRevision(LedgerRevision):
    """A recorded change of a segment's definition."""

    manual: bool | None
    condition: Any


class SegmentRevisionList(Page):
    """Changes of a segment's definition, oldest first."""

    definitions: list[SegmentRevision]


class SegmentMembersUpdate(BaseModel):
    """Profiles to add to a manual list and to remove from it; at most 1,000."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"add": ["user_id:u-1", "email:ada@example.com"], "reason": "invited"}]
        },
    )

    add: list[str] = Field([], description="Profile ids, or `user_id:u-1`, `email:…`, …")
    remove: list[str] = Field([], description="As in `add`.")
    reason: CommandReason = ""


class RefusedMember(BaseModel):
    """A reference that could not be added or removed; the others were."""

    side: ListSide = Field(alias="in")
    index: int = Field(description="Index in that list, from 0 (CSV: header excluded).")
    code: Literal["invalid_reference", "unknown", "suppressed", "contradicted"]
    message: str


class SegmentMembersResult(BaseModel):
    """Result of a manual list change."""

    position: int = Field(description="Ledger head afterwards; use it as `min_position`.")
    accepted: int = Field(description="Number of references now in the requested state.")
    recorded: int = Field(description="Number of those that changed.")
    refused: list[RefusedMember]


class MembersCsvParams(SegmentPath):
    """Segment and instant of a member export."""

    as_of: str | None = Field(
        None,
        max_length=100,
        description="Members at this position or instant (without an offset: UTC)",
    )


class SegmentPreviewRequest(QuestionBody):
    """Condition and instant of a preview."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"condition": {"event": "purchase", "within": {"last": "30d"}}}]
        },
    )

    condition: Any = Field(description="As in a segment.")
    as_of: str | None = Field(
        None,
        max_length=100,
        description="Evaluate as of this instant (without an offset: UTC); later events are ignored."
        " Now if omitted.",
    )


class SegmentPreviewProfile(BaseModel):
    """A matching profile."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]


class ConditionCount(BaseModel):
    """Matches of a part of the condition."""

    path: str = Field(description="JSON pointer into the condition, such as `/all/0`.")
    count: int = Field(description="Number of profiles that match this part alone.")


class SegmentPreview(BaseModel):
    """Result of a preview."""

    count: int
    sample: list[SegmentPreviewProfile]
    conditions: list[ConditionCount]
    as_of: datetime
    projected_to: int
