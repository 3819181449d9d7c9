"""Request and response models of profile history, merges and erasure."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.events.message import MergePolicy
from interfaces.http.kit.json_response import Instant, Page
from projections.kit.shown_profile import AsOfPoint

ProfileRef = Annotated[
    str, Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")
]
BodyProfileRef = Annotated[
    str, Field(max_length=2000, description="Profile id, or `user_id:u-1`, `anonymous_id:…`, …")
]
MergeReason = Annotated[
    str, Field(min_length=1, max_length=500, description="Reason, stored with the command.")
]
DryRunFlag = Annotated[bool, Field(description="Compute the result without recording it.")]
ErasureReason = Annotated[
    str,
    Field(
        max_length=500,
        description="Reason; stored permanently, so it must not contain personal data.",
    ),
]

_LEDGER_POINT = "Ledger position, or instant (without an offset: UTC)"


class ProfilePath(BaseModel):
    """Path of a profile."""

    ref: ProfileRef


class ProfileHistoryParams(ProfilePath):
    """Profile and page of a history."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=500, description="Maximum events on a page.")] = 50


class ProfileDiffParams(ProfilePath):
    """Profile and the two ledger points of a diff."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from", max_length=100, description=_LEDGER_POINT)
    to: str | None = Field(None, max_length=100, description=f"{_LEDGER_POINT}; now if omitted")


class LedgerEvent(BaseModel):
    """A ledger event as recorded."""

    position: int
    stream: UUID
    version: int = Field(description="Version in its stream, from 1.")
    recorded_at: Instant
    topic: str | None = Field(description="Event topic; null after erasure.")
    id: UUID | None
    cause: dict[str, Any] | None = Field(
        description="Cause: `message_id` and `source`; for a link the linking `event`; for a command"
        " `actor` and `reason`."
    )
    data: dict[str, Any] | None = Field(description="Event data.")


class ProfileHistory(Page):
    """A page of a profile's ledger events, in ledger order."""

    history: list[LedgerEvent]


class DiffEntry(BaseModel):
    """A value that was added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    after: Any


class ProfileDiff(BaseModel):
    """Differences of a profile between two ledger points."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    from_: AsOfPoint | None = Field(alias="from", description="Null: before the first event.")
    to: AsOfPoint
    identifiers: list[DiffEntry]
    attributes: list[DiffEntry]
    tags: list[DiffEntry]
    contacts: list[DiffEntry]
    groups: list[DiffEntry]
    devices: list[DiffEntry]


class MergeRequest(BaseModel):
    """Profiles to merge."""

    model_config = ConfigDict(extra="forbid")

    primary: BodyProfileRef
    secondary: BodyProfileRef
    reason: MergeReason
    policy: MergePolicy = Field(
        "latest",
        description="Conflict policy: `latest` keeps the most recent value; `primary` keeps the"
        " primary's values and fills gaps from the secondary.",
    )
    dry_run: DryRunFlag = False


class UnmergeRequest(BaseModel):
    """Identifier to remove from its profile."""

    model_config = ConfigDict(extra="forbid")

    identifier: BodyProfileRef
    reason: MergeReason
    dry_run: DryRunFlag = False


class MergedIdentifier(BaseModel):
    """An identifier of a profile."""

    kind: str
    value: str


class MergedProfile(BaseModel):
    """A profile with its identifiers."""

    id: UUID
    identifiers: list[MergedIdentifier] = Field(description="Strongest kind first.")
    absorbed: list[UUID] = Field(description="Ids of profiles merged into this one.")


class ProfileMergeResult(BaseModel):
    """Result of a merge or unmerge."""

    changed: bool = Field(
        description="False if nothing changed, or on a repeated Idempotency-Key; nothing was recorded."
    )
    dry_run: bool
    position: int | None = Field(description="Ledger head afterwards; null if not recorded.")
    before: list[MergedProfile] = Field(
        description="Profiles before; for a merge, the primary first."
    )
    after: list[MergedProfile] = Field(
        description="Profiles after; for an unmerge, the one with the identifier last."
    )
    changes: dict[str, list[DiffEntry]] = Field(
        description="Differences between the first profile before and after: attributes, tags, …"
    )


class ErasurePath(BaseModel):
    """Path of a profile to erase."""

    ref: str = Field(max_length=2000)


class EraseRequest(BaseModel):
    """Options of an erasure."""

    model_config = ConfigDict(extra="forbid")

    reason: ErasureReason = ""
    suppress: bool = Field(
        False, description="Also suppress: ignore future messages about this profile."
    )


class SuppressRequest(BaseModel):
    """Profile to suppress."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(max_length=2000, description="Profile id, or `kind:value`.")
    reason: ErasureReason = ""
    erase: bool = Field(True, description="Also erase recorded data.")


class UnsuppressRequest(BaseModel):
    """Profile to record again."""

    model_config = ConfigDict(extra="forbid")

    profile: str = Field(
        max_length=2000, description="Any profile id or `kind:value` of the profile."
    )
    reason: ErasureReason = ""


class ProfileErasureResult(BaseModel):
    """Result of an erasure or suppression; complete when returned."""

    position: int = Field(description="Ledger head afterwards.")
    id: UUID = Field(description="Profile id.")
    streams: list[UUID] = Field(description="Affected event streams.")
    events: int = Field(description="Number of erased events.")
    rejected: int = Field(description="Number of erased rejections.")
    suppressed: bool = Field(description="Whether the profile is suppressed.")


class SuppressedProfile(BaseModel):
    """A suppressed profile."""

    profile_id: UUID
    suppressed_at: Instant
    streams: int = Field(description="Number of suppressed identifiers.")


class SuppressedProfileList(Page):
    """Suppressed profiles, ordered by id."""

    suppressions: list[SuppressedProfile]
    count: int = Field(description="Total over all pages.")


class SuppressionListParams(BaseModel):
    """Page of suppressed profiles."""

    cursor: UUID | None = Field(None, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum rows on a page.")] = 50
