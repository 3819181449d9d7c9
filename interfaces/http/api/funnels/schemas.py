"""Request and response models of funnels, goals and saved funnels."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.core.errors import InvalidRequest
from domain.definitions.definition import DefinitionVersion
from domain.funnels.funnel import Funnel, parse_funnel
from domain.funnels.goals import Goal, parse_goal
from interfaces.http.kit.command import CommandReason, ExpectedVersion
from interfaces.http.kit.definition_schemas import DefinitionAnswer, LedgerRevision
from interfaces.http.kit.json_response import Page
from interfaces.http.questions import QuestionBody
from projections.kit.shown_profile import ProfileIdentifier

EXAMPLE_FUNNEL: dict[str, Any] = {
    "steps": [
        {"event": "product_view"},
        {
            "event": "purchase",
            "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        },
    ],
    "window": "7d",
}


class FunnelQuery(QuestionBody):
    """Definition of a funnel."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"examples": [EXAMPLE_FUNNEL]}
    )

    steps: Any = Field(
        description="1 to 20 of `{event, where}`, as in a condition: a name or a pattern of names, and"
        " comparisons of its properties. Steps are distinct events; consecutive steps may have the same"
        " instant."
    )
    window: str | None = Field(
        None, description="Longest time from the first step to the last, such as `7d`."
    )
    from_: str | None = Field(None, alias="from", description="No step is before this instant.")
    to: str | None = Field(None, description="Every step is before this instant.")
    breakdown: str | None = Field(
        None,
        description="Break down by this property of the first step, such as `properties.plan`; the"
        " values with the most profiles are returned.",
    )

    @property
    def funnel(self) -> Funnel:
        """The domain's form.  Raises InvalidRequest."""
        document = {
            "steps": self.steps,
            "window": self.window,
            "from": self.from_,
            "to": self.to,
            "breakdown": self.breakdown,
        }
        return parse_funnel({name: value for name, value in document.items() if value is not None})


class FunnelStepParams(BaseModel):
    """Step and page of a funnel's profiles."""

    step: int = Field(ge=1, description="Profiles that reached this step; 1 is the first.")
    lost: bool = Field(False, description="Only profiles that did not reach the next step.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class FunnelProfilesQuery(FunnelQuery, FunnelStepParams):
    """A funnel, and a step and page of its profiles."""


class StepConversion(BaseModel):
    """Profiles that reached a step, and their share."""

    event: Any
    profiles: int
    conversion: float = Field(description="Share of the profiles of the first step: 0 to 1.")
    from_previous: float = Field(description="Share of the profiles of the previous step: 0 to 1.")
    seconds_p50: float | None = Field(description="Median seconds since the previous step.")


class ConversionBreakdown(BaseModel):
    """The funnel of the profiles with one property value at the first step."""

    value: Any = Field(description="Property value; null if the property is absent.")
    steps: list[StepConversion]


class FunnelConversion(BaseModel):
    """Conversion of a funnel."""

    steps: list[StepConversion]
    breakdown: list[ConversionBreakdown] | None = Field(
        None, description="By value, largest first; at most 100."
    )
    values: int | None = Field(None, description="Number of distinct values.")
    as_of: datetime
    projected_to: int


class FunnelProfile(BaseModel):
    """A profile in a funnel."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    times: list[datetime] = Field(description="Instant of each step.")


class FunnelProfileList(BaseModel):
    """A page of profiles, ordered by id."""

    profiles: list[FunnelProfile]
    next: str | None
    projected_to: int


class GoalQuery(QuestionBody):
    """Definition of a goal."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "exposure": {"step": "delivered", "campaign": "spring", "channel": "email"},
                    "goal": {"event": "purchase"},
                    "within": "7d",
                }
            ]
        },
    )

    exposure: Any = Field(
        description="An outbound message that reached a step (`sent`, `delivered`, `read`, `clicked`) or a"
        " later one: `{step, campaign, channel, template}`; or an event: `{event, where}`."
    )
    goal: Any = Field(description="The conversion event: `{event, where}`.")
    within: str = Field(description="Longest time from the exposure to the goal, such as `7d`.")
    from_: str | None = Field(None, alias="from", description="Exposed at or after this instant.")
    to: str | None = Field(None, description="Exposed before this instant.")

    @property
    def goal_definition(self) -> Goal:
        """The domain's form.  Raises InvalidRequest."""
        document = {"exposure": self.exposure, "goal": self.goal, "within": self.within}
        return parse_goal(document | {"from": self.from_, "to": self.to})


class GoalProfilesQuery(GoalQuery, FunnelStepParams):
    """Profiles of a goal: step 1 exposed, 2 converted; `lost` after 1: not converted."""


class GoalConversion(BaseModel):
    """Conversion of a goal."""

    exposed: int = Field(description="Distinct exposed profiles.")
    converted: int = Field(
        description="Profiles that converted within the window after any exposure."
    )
    conversion: float = Field(description="Conversion rate: 0 to 1.")
    seconds_p50: float | None = Field(description="Median seconds from the exposure to the goal.")
    as_of: datetime
    projected_to: int


class FunnelPath(BaseModel):
    """Path of a saved funnel."""

    id: str = Field(description="1 to 64 of a-z, 0-9, - and _, such as `checkout`")


class SavedFunnelResultParams(FunnelPath, QuestionBody):
    """Parameters of a saved funnel's result."""


class SavedFunnelBase(BaseModel):
    """Definition of a saved funnel."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Checkout", "funnel": EXAMPLE_FUNNEL}]},
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    funnel: Any = Field(description="As in `POST /v1/funnels/query`.")
    reason: CommandReason = ""

    @property
    def definition(self) -> DefinitionVersion:
        """The domain's form.  Raises InvalidRequest."""
        try:
            document = json.dumps(self.funnel, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the funnel is not valid JSON: {error}", path="") from None
        return DefinitionVersion(self.name, self.description, document.encode())


class SavedFunnelCreate(SavedFunnelBase):
    """Saved funnel to create."""

    id: str | None = Field(None, description="Derived from the name if omitted.")


class SavedFunnelReplace(SavedFunnelBase):
    """New definition of a saved funnel."""

    version: ExpectedVersion = None


class SavedFunnelWriteResult(DefinitionAnswer):
    """A saved funnel after a change."""

    funnel: Any


class FunnelRevision(LedgerRevision):
    """A recorded change of a saved funnel."""

    funnel: Any


class FunnelRevisionList(Page):
    """Changes of a saved funnel, oldest first."""

    definitions: list[FunnelRevision]
