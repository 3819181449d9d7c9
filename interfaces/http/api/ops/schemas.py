"""Request and response models of the operations routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from application.ledger.tables.keys import KeyKind
from interfaces.http.kit.json_response import Instant, Page
from interfaces.http.projection_health import Movement
from projections.runtime.build_tables import BuildKind, BuildState


class KeyCreate(BaseModel):
    """Key to create."""

    model_config = ConfigDict(extra="forbid")

    kind: KeyKind = Field(description="write: ingest only. read: queries only. admin: everything.")


class KeyWithSecret(BaseModel):
    """Created key with its secret."""

    id: str
    kind: KeyKind
    key: str = Field(description="The secret key, returned only once; only its hash is stored.")


class KeyInfo(BaseModel):
    """Key without its secret."""

    id: str
    kind: KeyKind
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyList(Page):
    """Keys of the workspace, oldest first."""

    keys: list[KeyInfo]


class KeyPath(BaseModel):
    """Path of a key."""

    id: str = Field(max_length=100)


class Workspace(BaseModel):
    """A workspace."""

    id: int
    name: str
    created_at: Instant


class WorkspaceList(Page):
    """Workspaces visible to the key: its own."""

    workspaces: list[Workspace]


class ReadModelStatus(BaseModel):
    """Progress of one read model."""

    name: str
    version: int
    position: int
    lag: int = Field(description="Events not yet applied.")
    movement: Movement = Field(
        description="idle: caught up. moving: behind and applying events. stalled: behind, with no"
        " progress for 15 s or more; see the worker's log."
    )
    updated_at: Instant | None = Field(description="When events were last applied.")
    failure: str | None = Field(description="Why applying the next events failed, if it did.")


class WorkspaceStatus(BaseModel):
    """Ledger head and read-model progress of a workspace."""

    head: int = Field(description="Last position of the workspace's ledger.")
    capped_profiles: int = Field(
        description="Profiles with an identifier that was linked with more than 1,000 others."
    )
    projections: list[ReadModelStatus]


class RejectedMessageParams(BaseModel):
    """Filter and page of rejected messages."""

    code: str | None = Field(None, max_length=200, description="Only rejections with this code.")
    source: str | None = Field(
        None, max_length=200, description="Only from this source (wire format)."
    )
    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=100, description="Maximum rows on a page.")] = 50


class RejectedMessage(BaseModel):
    """A rejected message as received."""

    id: UUID
    received_at: Instant
    source: str
    code: str
    message: str
    message_id: str | None
    times: int = Field(description="How often identical bytes were rejected with this code.")
    raw: str
    raw_encoding: Literal["utf-8", "base64"] = Field(
        description="base64 where the bytes are not UTF-8."
    )


class RejectedMessageList(Page):
    """Rejected messages, newest first."""

    rejected: list[RejectedMessage]


class ProjectionPath(BaseModel):
    """Path of a read model."""

    name: str = Field(max_length=100, description="Name from `GET /v1/projections`.")


class RebuildRequest(BaseModel):
    """Options of a rebuild."""

    model_config = ConfigDict(extra="forbid")

    restart: bool = Field(
        False, alias="anew", description="Start from scratch instead of resuming a cancelled build."
    )


class CancelBuildRequest(BaseModel):
    """Options of a cancellation."""

    model_config = ConfigDict(extra="forbid")

    discard: bool = Field(False, description="Also drop the partially built tables.")


class ReadModelBuild(BaseModel):
    """The last build of a read model, over all workspaces."""

    model_config = ConfigDict(populate_by_name=True)

    kind: BuildKind
    state: BuildState
    events: int = Field(description="Events applied.")
    total: int = Field(description="Events applied to the live tables.")
    events_per_second: float
    seconds_left: float | None
    requested_at: Instant = Field(alias="asked_at")
    finished_at: Instant | None
    failure: str | None
    result: dict[str, Any] | None = Field(
        description="For a verification: `same`, and per table the row count and differences."
    )


class ReadModelDetail(ReadModelStatus):
    """A read model and its last build."""

    build: ReadModelBuild | None


class ReadModelList(BaseModel):
    """The read models."""

    projections: list[ReadModelDetail]
