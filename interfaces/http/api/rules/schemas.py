"""Request and response models of rules and dry runs."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from domain.core.errors import InvalidRequest
from domain.definitions.definition import DefinitionVersion
from domain.rules.actions import ACTIONS
from domain.rules.definition import RULE_FIELDS
from interfaces.http.kit.command import CommandReason, ExpectedVersion, ResourceId
from interfaces.http.kit.definition_schemas import DefinitionAnswer, LedgerRevision
from interfaces.http.kit.json_response import Page
from interfaces.http.questions import QuestionBody
from projections.kit.shown_profile import ProfileIdentifier
from projections.segments.queries.schemas import DefinitionWarning

RULE_EXAMPLES: list[JsonValue] = [
    {
        "name": "Price drop",
        "trigger": {"system_event": "price_dropped"},
        "audience": {
            "attribute": "favourite_item",
            "op": "eq",
            "value": {"$field": "properties.item_id"},
        },
        "cap": {"times": 1, "per": "7d"},
        "actions": [{"webhook": {"endpoint": "crm"}}],
    },
    {
        "name": "Left in the cart",
        "trigger": {"event": "added_to_cart"},
        "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        "wait": {
            "event": "Order Completed",
            "match": "properties.cart_id",
            "timeout": "24h",
            "else": [{"send_event": {"name": "cart_abandoned"}}],
        },
        "reentry": "not_while_waiting",
    },
]


class RulePath(BaseModel):
    """Path of a rule."""

    id: ResourceId


class RuleBase(BaseModel):
    """Definition of a rule."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": RULE_EXAMPLES})

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    trigger: Any = Field(
        description="Trigger: `event` or `system_event` (a name or a pattern), `entered` or `left`"
        " (a segment), `attribute_changed` (an attribute), or `profile`: `created` or `merged`."
        " An invalid rule returns 400 with a JSON pointer in `details.path`."
    )
    where: Any = Field(None, description="Comparisons on the trigger, such as `properties.total`.")
    audience: Any = Field(
        None,
        description="Audience condition. A value may refer to a field of the trigger:"
        ' `{"$field": "properties.item_id"}`.',
    )
    delay: Any = Field(None, description="Delay before the actions, such as `24h`.")
    wait: Any = Field(
        None,
        description="Wait for an `event` (and `where`; `match`: a path with the same value as in the event"
        " of the trigger) until `timeout`; `then` and `else` are the actions.",
    )
    reentry: Any = Field(
        None,
        description='Re-entry: `always`, `once`, `{"once_per": "7d"}`, or `not_while_waiting`.',
    )
    cap: Any = Field(None, description='Frequency cap per profile: `{"times": 3, "per": "7d"}`.')
    priority: Any = Field(None, description="Higher priority fires first. Default 0.")
    max_age: Any = Field(None, description="Maximum age of an event at recording. Default `72h`.")
    on_merge: Any = Field(
        None, description="`always`: changes caused only by a merge trigger it too."
    )
    actions: Any = Field(
        None,
        description=f"Actions: {', '.join(f'`{kind.KEY}`' for kind in ACTIONS)}.",
    )
    reason: CommandReason = ""

    @property
    def definition(self) -> DefinitionVersion:
        """The domain's form.  Raises InvalidRequest."""
        fields = {name: value for name in RULE_FIELDS if (value := getattr(self, name)) is not None}
        try:
            document = json.dumps(fields, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the rule is not valid JSON: {error}", path="") from None
        return DefinitionVersion(self.name, self.description, document.encode())


class RuleCreate(RuleBase):
    """Rule to create."""

    id: ResourceId | None = Field(None, description="Derived from the name if omitted.")


class RuleReplace(RuleBase):
    """New definition of a rule."""

    version: ExpectedVersion = None


class Rule(DefinitionAnswer):
    """A rule with its status."""

    rule: Any = Field(description="The definition: `trigger`, `audience`, `actions` and the rest.")
    warnings: list[DefinitionWarning] = Field(description="What the definition cannot do.")
    enabled: bool = Field(description="Whether the rule is enabled.")


class RuleRevision(LedgerRevision):
    """A recorded change of a rule's definition or status."""

    change: Literal["defined", "archived", "enabled", "disabled"]  # type: ignore[assignment]  # others have no status
    rule: Any


class RuleRevisionList(Page):
    """Changes of a rule, oldest first."""

    definitions: list[RuleRevision]


class DryRunRequest(QuestionBody):
    """Rule and period of a dry run."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [{"rule": RULE_EXAMPLES[1], "from": "2026-03-01"}]},
    )

    rule: Any = Field(description="As in `POST /v1/rules`; name and description may be omitted.")
    from_: str = Field(
        alias="from",
        max_length=100,
        description="Start of the simulated period (without an offset: UTC).",
    )
    to: str | None = Field(
        None, max_length=100, description="End of the simulated period; now if omitted."
    )


class DryRunFiring(BaseModel):
    """A simulated firing."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    cause: str
    at: datetime
    branch: str


class DryRunDay(BaseModel):
    """Firings of a day, in UTC."""

    day: str
    fired: int


class RuleDryRun(BaseModel):
    """Result of a dry run."""

    fired: int
    waiting: int = Field(description="Runs still waiting at the end.")
    suppressed: dict[str, int] = Field(description="Suppressed runs by reason.")
    days: list[DryRunDay]
    sample: list[DryRunFiring]
    profiles: int = Field(alias="people", description="Number of simulated profiles.")
    of: int = Field(
        description="Number of candidate profiles; if larger than the simulated ones, they are a sample."
    )
    projected_to: int
