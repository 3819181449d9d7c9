"""Subscription routes: changes need an admin key, reads a read or admin key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

from fastapi import APIRouter, Security
from msgspec import json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.subscriptions import SubscriptionRow
from interfaces.http.api.deliveries.schemas import (
    PageParams,
    StreamList,
    Subscription,
    SubscriptionCreate,
    SubscriptionList,
    SubscriptionPath,
    SubscriptionUpdate,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Page, json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service
from projections.kit import cursors

T = TypeVar("T")


class _Collection(NamedTuple):
    """A path under which subscriptions are served, and what differs from the other one."""

    path: str
    noun: str
    update_verb: str
    list_model: type[Page]
    deprecated: bool

    def operation_id(self, verb: str, suffix: str = "") -> str:
        """Return the OpenAPI operation id of a verb; unique over both paths."""
        return f"{verb}_{self.noun}{suffix}"

    def openapi(self, model: type[Any], path: str) -> dict[str, Any]:
        """Return the OpenAPI parameters of a route, and whether it is deprecated."""
        return openapi_parameters(model, path) | self.openapi_status()

    def openapi_status(self) -> dict[str, Any]:
        """Return the OpenAPI mark of a deprecated route; empty for a current one."""
        return {"deprecated": True} if self.deprecated else {}


_SUBSCRIPTIONS = _Collection(
    "/v1/subscriptions", "subscription", "update", SubscriptionList, deprecated=False
)
_STREAMS = _Collection("/v1/streams", "stream", "change", StreamList, deprecated=True)
"""The former path, kept for one release: in an event-sourced system a stream is an event stream."""


def subscription_routes(service: Service) -> APIRouter:
    """Build the routes of `/v1/subscriptions`, and of its deprecated alias `/v1/streams`."""
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    for collection in (_SUBSCRIPTIONS, _STREAMS):
        _add_read_routes(routes, service, collection)
        _add_command_routes(routes, service, collection)
    return routes


def _add_read_routes(routes: APIRouter, service: Service, collection: _Collection) -> None:
    subscriptions = service.deliveries.subscriptions
    readers = [Security(require_key(service.keys, "read", "admin"))]
    path = f"{collection.path}/{{id}}"
    read_page = params_reader(PageParams, collection.path)
    read_path = params_reader(SubscriptionPath, path)

    @routes.get(
        collection.path,
        summary="List subscriptions with their progress",
        operation_id=collection.operation_id("list", "s"),
        response_model=collection.list_model,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=collection.openapi(PageParams, collection.path),
        dependencies=readers,
    )
    async def list_subscriptions(request: Request) -> Response:
        params, workspace = read_page(request), authenticated_key(request).workspace
        page = await run_in_threadpool(_list_subscriptions, service, workspace, params)
        if collection.list_model is StreamList:
            return json_response(
                StreamList(
                    streams=page.subscriptions, next=page.next, projected_to=page.projected_to
                )
            )
        return json_response(page)

    @routes.get(
        path,
        summary="Get a subscription with its progress",
        operation_id=collection.operation_id("get"),
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=collection.openapi(SubscriptionPath, path),
        dependencies=readers,
    )
    async def get_subscription(request: Request) -> Response:
        return json_response(
            _to_subscription(await _run_command(request, subscriptions.get, read_path(request).id))
        )


def _add_command_routes(routes: APIRouter, service: Service, collection: _Collection) -> None:
    subscriptions = service.deliveries.subscriptions
    admin = [Security(require_key(service.keys, "admin"))]
    path = f"{collection.path}/{{id}}"
    read_nothing = params_reader(NoParams, collection.path)
    read_path = params_reader(SubscriptionPath, path)

    @routes.post(
        collection.path,
        status_code=201,
        summary="Create a subscription: forwards recorded events as webhooks, in no guaranteed order",
        operation_id=collection.operation_id("create"),
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(SubscriptionCreate) | collection.openapi_status(),
        dependencies=admin,
    )
    async def create_subscription(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, SubscriptionCreate)
        created = await _run_command(
            request, subscriptions.create, payload.id, payload.definition, payload.after
        )
        return json_response(_to_subscription(created), 201)

    @routes.put(
        path,
        summary="Update a subscription; it continues from its position",
        operation_id=collection.operation_id(collection.update_verb),
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(SubscriptionUpdate) | collection.openapi(SubscriptionPath, path),
        dependencies=admin,
    )
    async def update_subscription(request: Request) -> Response:
        params, payload = read_path(request), await parse_body(request, SubscriptionUpdate)
        return json_response(
            _to_subscription(
                await _run_command(request, subscriptions.update, params.id, payload.definition)
            )
        )

    @routes.delete(
        path,
        status_code=204,
        summary="Delete a subscription; deliveries already queued are still sent",
        operation_id=collection.operation_id("delete"),
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=collection.openapi(SubscriptionPath, path),
        dependencies=admin,
    )
    async def delete_subscription(request: Request) -> Response:
        await _run_command(request, subscriptions.delete, read_path(request).id)
        return Response(status_code=204)


async def _run_command(request: Request, command: Callable[..., T], *args: object) -> T:
    return await run_in_threadpool(partial(command, authenticated_key(request).workspace, *args))


def _list_subscriptions(service: Service, workspace: int, params: PageParams) -> SubscriptionList:
    after = "" if params.cursor is None else cursors.decode_text(params.cursor)
    # Read before the rows: a row may be newer than this position, never older.
    head = service.ledger.heads().get(workspace, 0)
    rows = service.deliveries.subscriptions.list(workspace, after, params.limit + 1)
    page = rows[: params.limit]
    return SubscriptionList(
        subscriptions=[_to_subscription(row) for row in page],
        next=cursors.encode_text(page[-1].id) if len(rows) > len(page) else None,
        projected_to=head,
    )


def _to_subscription(row: SubscriptionRow) -> Subscription:
    progress = {"id": row.id, "version": row.version, "position": row.position}
    return Subscription.model_validate(
        json.decode(row.definition) | progress | {"created_at": row.created_at}
    )
