"""Request and response models of computed attributes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.core.errors import InvalidRequest
from domain.definitions.definition import DefinitionVersion
from interfaces.http.kit.command import CommandReason, ExpectedVersion
from interfaces.http.kit.definition_schemas import DefinitionAnswer, LedgerRevision
from interfaces.http.kit.json_response import Page
from interfaces.http.questions import QuestionBody
from projections.kit.shown_profile import ProfileIdentifier

_EXAMPLE_COMPUTATION: dict[str, Any] = {
    "fn": "count",
    "event": "Order Completed",
    "within": {"last": "30d"},
}


class ComputedAttributePath(BaseModel):
    """Path of a computed attribute."""

    id: str = Field(description="1 to 64 of a-z, 0-9, - and _, such as `orders_30d`")


class ComputationBase(BaseModel):
    """A computation: as in a condition, without the comparison."""

    model_config = ConfigDict(extra="forbid")

    computed: Any = Field(None, description="Computation over a profile's events.")
    score: Any = Field(None, description="Score: conditions with points.")

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        if (self.computed is None) == (self.score is None):
            raise ValueError("give either `computed` or `score`")
        return self

    @property
    def computation(self) -> bytes:
        """The computation as JSON.  Raises InvalidRequest."""
        key = "score" if self.computed is None else "computed"
        try:
            return json.dumps({key: getattr(self, key)}, allow_nan=False).encode()
        except ValueError as error:
            raise InvalidRequest(f"the computation is not valid JSON: {error}", path="") from None


class ComputedAttributeBase(ComputationBase):
    """Definition of a computed attribute."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "Orders of a month", "computed": _EXAMPLE_COMPUTATION}]
        },
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    reason: CommandReason = ""

    @property
    def definition(self) -> DefinitionVersion:
        """The domain's form.  Raises InvalidRequest."""
        return DefinitionVersion(self.name, self.description, self.computation)


class ComputedAttributeCreate(ComputedAttributeBase):
    """Computed attribute to create."""

    id: str | None = Field(None, description="Derived from the name if omitted.")


class ComputedAttributeReplace(ComputedAttributeBase):
    """New definition of a computed attribute."""

    version: ExpectedVersion = None


class ComputedAttribute(DefinitionAnswer):
    """A computed attribute after a change."""

    computed: Any = None
    score: Any = None


class ComputedAttributeRevision(LedgerRevision):
    """A recorded change of a computed attribute's definition."""

    computed: Any
    score: Any


class ComputedAttributeRevisionList(Page):
    """Changes of a computed attribute's definition, oldest first."""

    definitions: list[ComputedAttributeRevision]


class ComputedAttributePreviewRequest(ComputationBase, QuestionBody):
    """Computation and instant of a preview."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"computed": _EXAMPLE_COMPUTATION}]}
    )

    as_of: str | None = Field(
        None,
        max_length=100,
        description="Evaluate as of this instant (without an offset: UTC); later events are ignored."
        " Now if omitted.",
    )


class ComputedAttributePreviewProfile(BaseModel):
    """A profile and its value."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    value: Any


class ComputedAttributePreview(BaseModel):
    """Result of a preview."""

    count: int = Field(description="Number of profiles with a value other than 0.")
    sample: list[ComputedAttributePreviewProfile] = Field(description="Sample of those profiles.")
    as_of: datetime
    projected_to: int
