"""Request and response models of endpoints, subscriptions and deliveries."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from application.deliveries.endpoints import EndpointDefinition
from domain.delivery import event_filter
from domain.delivery.event_filter import SubscriptionDefinition
from domain.events.message import MessageKind
from interfaces.http.kit.command import NulFreeText
from interfaces.http.kit.json_response import Instant, Page

DeliveryState = Literal["waiting", "sending", "delivered", "failed"]


class PageParams(BaseModel):
    """Page of a list."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the previous page.")
    limit: Annotated[int, Field(ge=1, le=500, description="Maximum rows on a page.")] = 50


class EndpointPath(BaseModel):
    """Path of an endpoint."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `crm`")


class EndpointUpdate(BaseModel):
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

    @property
    def definition(self) -> EndpointDefinition:
        """The application's form."""
        return EndpointDefinition(self.url, self.description, self.concurrency)


class EndpointCreate(EndpointUpdate):
    """Endpoint to create."""

    id: NulFreeText | None = Field(None, max_length=64, description="Generated if omitted.")


class Endpoint(BaseModel):
    """An endpoint with its health."""

    id: str
    url: str
    description: str
    concurrency: int
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

    secret: str = Field(description="Signing secret for verifying signatures: `whsec_…`")


class EndpointList(Page):
    """Endpoints, by id."""

    endpoints: list[Endpoint]


class SubscriptionPath(BaseModel):
    """Path of a subscription."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `warehouse`")


class SubscriptionUpdate(BaseModel):
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

    @property
    def definition(self) -> SubscriptionDefinition:
        """The domain's form.  Raises InvalidRequest."""
        return event_filter.parse_subscription(
            self.model_dump(include=set(SubscriptionUpdate.model_fields))
        )


class SubscriptionCreate(SubscriptionUpdate):
    """Subscription to create."""

    id: NulFreeText | None = Field(None, max_length=64, description="Generated if omitted.")
    after: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        alias="from",
        description="Start after this position; if omitted, with the next recorded event.",
    )


class Subscription(SubscriptionUpdate):
    """A subscription with its progress."""

    id: str
    version: int = Field(description="Version number of the definition.")
    position: int = Field(description="All events up to this position are sent or queued.")
    created_at: Instant


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
