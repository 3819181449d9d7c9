"""Outbound streams: what is recorded goes on to an endpoint; for admin keys, what there is for read keys as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Security
from msgspec import json
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.subscriptions import SubscriptionRow
from domain.delivery import event_filter
from domain.delivery.event_filter import SubscriptionDefinition
from domain.events.message import MessageKind
from interfaces.http.api.deliveries.endpoints import EndpointListParams, NulFreeText
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page, json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service
from projections.kit import cursors

COLLECTION = "/v1/streams"
PATH = f"{COLLECTION}/{{id}}"

T = TypeVar("T")


class SubscriptionPath(BaseModel):
    """Which stream."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `warehouse`")


class SubscriptionUpdate(BaseModel):
    """What a stream shall send, and where."""

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
        "", description="What messages call it by in their `integrations`, beside its id."
    )
    events: list[str | dict[str, Any]] = Field(
        [], description='Names, and patterns such as `{"matching": "Order*"}`; none: all.'
    )
    kinds: list[MessageKind] = Field([], description="None: all.")
    where: list[dict[str, Any]] = Field([], description="As in conditions; all have to hold.")
    paused: bool = Field(False, description="Sends nothing for now, and goes on from where it is.")

    @property
    def definition(self) -> SubscriptionDefinition:
        """The same in the words of the domain.  Raises InvalidRequest."""
        return event_filter.parse_subscription(
            self.model_dump(include=set(SubscriptionUpdate.model_fields))
        )


class SubscriptionCreate(SubscriptionUpdate):
    """What stream to make."""

    id: NulFreeText | None = Field(None, max_length=64, description="Left out: one is made up.")
    after: int | None = Field(
        None,
        ge=0,
        le=2**63 - 1,
        alias="from",
        description="Begin with what follows this position; left out: with what is recorded next.",
    )


class Subscription(SubscriptionUpdate):
    """A stream, and how far it is."""

    id: str
    version: int = Field(description="How often it was defined.")
    position: int = Field(description="Up to here everything is sent, or waits to be.")
    created_at: Instant


class SubscriptionList(Page):
    """Streams, by id."""

    streams: list[Subscription]


def subscription_routes(service: Service) -> APIRouter:
    """Return the routes of outbound streams."""
    kept = service.deliveries.subscriptions
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    admin = [Security(require_key(service.keys, "admin"))]
    anyone = [Security(require_key(service.keys, "read", "admin"))]
    read_nothing, read_page = (
        params_reader(NoParams, COLLECTION),
        params_reader(EndpointListParams, COLLECTION),
    )
    read_which = params_reader(SubscriptionPath, PATH)

    @routes.post(
        COLLECTION,
        status_code=201,
        summary="Send on what is recorded, as webhooks; in which order they arrive is not promised",
        operation_id="create_stream",
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(SubscriptionCreate),
        dependencies=admin,
    )
    async def create_subscription(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, SubscriptionCreate)
        made = await _run_command(request, kept.create, asked.id, asked.definition, asked.after)
        return json_response(_to_subscription(made), 201)

    @routes.get(
        COLLECTION,
        summary="Streams, and how far each is",
        operation_id="list_streams",
        response_model=SubscriptionList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(EndpointListParams, COLLECTION),
        dependencies=anyone,
    )
    async def list_subscriptions(request: Request) -> Response:
        asked = read_page(request)
        return json_response(
            await run_in_threadpool(
                _list_subscriptions, service, authenticated_key(request).workspace, asked
            )
        )

    @routes.get(
        PATH,
        summary="One stream, and how far it is",
        operation_id="get_stream",
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SubscriptionPath, PATH),
        dependencies=anyone,
    )
    async def get_subscription(request: Request) -> Response:
        return json_response(
            _to_subscription(await _run_command(request, kept.get, read_which(request).id))
        )

    @routes.put(
        PATH,
        summary="Change what a stream sends, from where it is",
        operation_id="change_stream",
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(SubscriptionUpdate) | openapi_parameters(SubscriptionPath, PATH),
        dependencies=admin,
    )
    async def update_subscription(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, SubscriptionUpdate)
        return json_response(
            _to_subscription(await _run_command(request, kept.update, which.id, asked.definition))
        )

    @routes.delete(
        PATH,
        status_code=204,
        summary="Remove a stream; what it has taken in is sent all the same",
        operation_id="delete_stream",
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SubscriptionPath, PATH),
        dependencies=admin,
    )
    async def delete_subscription(request: Request) -> Response:
        await _run_command(request, kept.delete, read_which(request).id)
        return Response(status_code=204)

    return routes


async def _run_command(request: Request, command: Callable[..., T], *args: object) -> T:
    return await run_in_threadpool(partial(command, authenticated_key(request).workspace, *args))


def _list_subscriptions(
    service: Service, workspace: int, params: EndpointListParams
) -> SubscriptionList:
    after = "" if params.cursor is None else cursors.decode_text(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found = service.deliveries.subscriptions.list(workspace, after, params.limit + 1)
    page = found[: params.limit]
    return SubscriptionList(
        streams=[_to_subscription(it) for it in page],
        next=cursors.encode_text(page[-1].id) if len(found) > len(page) else None,
        projected_to=head,
    )


def _to_subscription(row: SubscriptionRow) -> Subscription:
    facts = {"id": row.id, "version": row.version, "position": row.position}
    return Subscription.model_validate(
        json.decode(row.definition) | facts | {"created_at": row.created_at}
    )
