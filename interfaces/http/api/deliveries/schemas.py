"""Request and response models of endpoints, subscriptions and deliveries."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from domain.definitions.definition import DefinitionVersion
from domain.delivery import event_filter
from domain.delivery.outbound import EndpointDefinition, outbound_version
from domain.events.message import MessageKind
from interfaces.http.kit.command import CommandReason, ExpectedVersion, NulFreeText
from interfaces.http.kit.definition_schemas import Revision
from interfaces.http.kit.json_response import Instant, Page

DeliveryState = Literal["waiting", "sending", "delivered", "failed"]


class PageParams(BaseModel):
    """Page of a list."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=500, description="Maximum rows on a page.")] = 50


class EndpointPath(BaseModel):
    """Path of an endpoint."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `crm`")


class EndpointBase(BaseModel):
    """Configuration of an endpoint."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"url": "https://example.com/hooks"}]}
    )

    url: NulFreeText = Field(
        max_length=2_000,
        description="https on port 443 or 8443 at a public address; checked again at every delivery.",
    )
    description: NulFreeText = Field("", max_length=500)
    concurrency: int = Field(4, ge=1, le=4, description="Maximum concurrent deliveries.")
    reason: CommandReason = ""

    @property
    def definition(self) -> DefinitionVersion:
        """The domain's form."""
        return outbound_version(EndpointDefinition(self.url, self.description, self.concurrency))


class EndpointUpdate(EndpointBase):
    """New configuration of an endpoint."""

    version: ExpectedVersion = None


class EndpointCreate(EndpointBase):
    """Endpoint to create."""

    id: NulFreeText | None = Field(None, max_length=64, description="Generated if omitted.")


class Endpoint(BaseModel):
    """An endpoint with its health."""

    id: str
    url: str
    description: str
    concurrency: int
    version: int = Field(description="Version: number of recorded changes.")
    created_at: Instant
    disabled_at: Instant | None = Field(
        description="When it was disabled; deliveries are held until it is enabled."
    )
    disabled_reason: str | None
    failing_since: Instant | None = Field(description="Start of the current run of failures.")
    failures: int = Field(description="Consecutive failures.")
    parked_until: Instant | None = Field(
        description="Parked until this instant after too many failures."
    )
    previous_secret_until: Instant | None = Field(
        description="The previous secret also signs until this instant, after a rotation."
    )


class EndpointWithSecret(Endpoint):
    """An endpoint with its signing secret, which is returned only once."""

    secret: str | None = Field(
        description="Signing secret for verifying signatures: `whsec_…`; null if the request was repeated."
    )


class EndpointRevision(Revision):
    """A recorded change of an endpoint's configuration."""

    url: str | None = Field(description="Null if it was deleted, like the following fields.")
    description: str | None
    concurrency: int | None


class EndpointRevisionList(Page):
    """Changes of an endpoint's configuration, oldest first."""

    definitions: list[EndpointRevision]


class EndpointList(Page):
    """Endpoints, by id."""

    endpoints: list[Endpoint]


class SubscriptionPath(BaseModel):
    """Path of a subscription."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `warehouse`")


class SubscriptionBase(BaseModel):
    """Filter and endpoint of a subscription."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "endpoint": "crm",
                    "events": ["Order Completed", {"matching": "Email *"}],
                    "where": [{"path": "properties.total", "op": "gte", "value": 100}],
                }
            ]
        },
    )

    endpoint: NulFreeText = Field(max_length=64)
    name: NulFreeText = Field(
        "", description="Name matched against `integrations` of messages, besides the id."
    )
    events: list[str | dict[str, Any]] = Field(
        [], description='Event names or patterns such as `{"matching": "Order*"}`; empty: all.'
    )
    kinds: list[MessageKind] = Field([], description="Message kinds; empty: all.")
    where: list[dict[str, Any]] = Field(
        [], description="Comparisons as in conditions; all must match."
    )
    paused: bool = Field(False, description="Paused: sends nothing and keeps its position.")


class SubscriptionRequest(SubscriptionBase):
    """Definition of a subscription, and the reason for it."""

    reason: CommandReason = ""

    @property
    def definition(self) -> DefinitionVersion:
        """The domain's form.  Raises InvalidRequest."""
        fields = self.model_dump(include=set(SubscriptionBase.model_fields))
        return outbound_version(event_filter.parse_subscription(fields))


class SubscriptionUpdate(SubscriptionRequest):
    """New definition of a subscription."""

    version: ExpectedVersion = None


class SubscriptionCreate(SubscriptionRequest):
    """Subscription to create."""

    id: NulFreeText | None = Field(None, max_length=64, description="Generated if omitted.")
    after: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        alias="from",
        description="Start after this position; if omitted, with the next recorded event.",
    )


class Subscription(SubscriptionBase):
    """A subscription with its progress."""

    id: str
    version: int = Field(description="Version number of the definition.")
    position: int = Field(description="All events up to this position are sent or queued.")
    created_at: Instant


class SubscriptionRevision(Revision):
    """A recorded change of a subscription."""

    endpoint: str | None = Field(description="Null if it was deleted, like the following fields.")
    name: str | None
    events: list[str | dict[str, Any]] | None
    kinds: list[MessageKind] | None
    where: list[dict[str, Any]] | None
    paused: bool | None


class SubscriptionRevisionList(Page):
    """Changes of a subscription, oldest first."""

    definitions: list[SubscriptionRevision]


class SubscriptionList(Page):
    """Subscriptions, by id."""

    subscriptions: list[Subscription]


class StreamList(Page):
    """Subscriptions, by id, under the former name of the field."""

    streams: list[Subscription]


class DeliveryListParams(BaseModel):
    """Filter and page of deliveries."""

    rule: str | None = Field(
        None,
        max_length=200,
        description="Only from this rule, or from a subscription as `stream:ID`.",
    )
    endpoint: str | None = Field(None, max_length=64, description="Only to this endpoint.")
    state: DeliveryState | None = Field(None, description="Only in this state.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=100, description="Maximum rows on a page.")] = 50


class DeliveryPath(BaseModel):
    """Path of a delivery."""

    id: UUID


class Attempt(BaseModel):
    """A delivery attempt."""

    attempt: int
    at: Instant
    duration_ms: int
    status: int | None = Field(description="HTTP status of the response; null if there was none.")
    error: str | None = Field(description="Transport error, if there was no response.")
    reply: str | None = Field(description="First 1,000 bytes of the response body.")


class Delivery(BaseModel):
    """A delivery: one action of a rule or subscription."""

    id: UUID = Field(description="Also sent as `webhook-id`; the same for every attempt.")
    rule: str
    version: int
    cause: str = Field(description="Trigger: the event or membership change that caused it.")
    profile_id: UUID | None
    endpoint: str | None = Field(description="Null for an action that writes to the ledger.")
    action: Any = Field(description="Action as defined; null after the profile was erased.")
    state: DeliveryState
    reason: str | None = Field(description="Why it failed or is being retried.")
    created_at: Instant
    due_at: Instant
    finished_at: Instant | None
    attempts: list[Attempt]


class DeliveryList(Page):
    """Deliveries, newest first."""

    deliveries: list[Delivery]
