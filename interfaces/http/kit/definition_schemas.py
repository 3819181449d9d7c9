"""Models that the definitions of all kinds share: answers, changes and pages of changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from interfaces.http.kit.json_response import Instant


class DefinitionAnswer(BaseModel):
    """A definition after a change."""

    id: str
    name: str
    description: str
    archived: bool
    version: int = Field(description="Version: number of recorded changes.")
    changed: bool = Field(description="False if nothing changed and nothing was recorded.")
    position: int = Field(description="Ledger position of the change; use it as `min_position`.")


class Revision(BaseModel):
    """A recorded change of a definition."""

    version: int
    change: Literal["defined", "archived"]
    decided_at: Instant
    recorded_at: Instant
    actor: str = Field(description="Id of the key that made the change.")
    reason: str


class LedgerRevision(Revision):
    """A change of a definition that the ledger records."""

    position: int
    name: str | None = Field(description="Null if nothing was defined, like the following fields.")
    description: str | None


class RevisionPage(BaseModel):
    """Page of the changes of a definition."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=500, description="Maximum definitions on a page.")] = 50
