"""Subscriptions as the API serves them: definitions for admin keys, and their progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Security
from msgspec import json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.store import DefinitionResult
from application.ledger.tables.subscriptions import SubscriptionRow
from interfaces.http.api.deliveries.endpoints import definition_json
from interfaces.http.api.deliveries.schemas import (
    PageParams,
    StreamList,
    Subscription,
    SubscriptionCreate,
    SubscriptionList,
    SubscriptionPath,
    SubscriptionRevision,
    SubscriptionRevisionList,
    SubscriptionUpdate,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.definition_routes import Answer, Resource
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors


def _answer_json(service: Service) -> Answer:
    def answer(workspace: int, result: DefinitionResult[Any]) -> Mapping[str, Any]:
        row = service.deliveries.subscriptions.get(workspace, result.state.id)
        return _to_subscription(row).model_dump(mode="json")

    return answer


SUBSCRIPTIONS = Resource(
    collection="/v1/subscriptions",
    noun="subscription",
    verbs=("create", "update", "delete"),
    tag="deliveries",
    commands=lambda service: service.deliveries.subscriptions,
    path_params=SubscriptionPath,
    create=SubscriptionCreate,
    replace=SubscriptionUpdate,
    answer=Subscription,
    revision=SubscriptionRevision,
    revisions=SubscriptionRevisionList,
    create_summary="Create a subscription: forwards recorded events as webhooks, in no guaranteed order",
    replace_summary="Update a subscription; it continues from its position",
    archive_summary="Delete a subscription; deliveries already queued are still sent",
    history_summary="List a subscription's definitions with actor, time and reason",
    definition_json=definition_json,
    answer_json=_answer_json,
    replace_errors=(400, 401, 403, 404, 409, 413, 503),
    create_options=lambda payload: {"after": payload.after},
)
STREAMS = replace(
    SUBSCRIPTIONS,
    collection="/v1/streams",
    noun="stream",
    verbs=("create", "change", "delete"),
    revisions=None,
    deprecated=True,
)
"""The former path, kept for one release: in an event-sourced system a stream is an event stream."""


def subscription_routes(service: Service) -> APIRouter:
    """Build the routes that read subscriptions, and their deprecated alias `/v1/streams`."""
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    _add_read_routes(routes, service, SUBSCRIPTIONS)
    _add_read_routes(routes, service, STREAMS)
    return routes


def _add_read_routes(routes: APIRouter, service: Service, resource: Resource) -> None:
    readers = [Security(require_key(service.keys, "read", "admin"))]
    read_page = params_reader(PageParams, resource.collection)
    read_path = params_reader(SubscriptionPath, resource.path)

    @routes.get(
        resource.collection,
        summary="List subscriptions with their progress",
        operation_id=f"list_{resource.noun}s",
        response_model=StreamList if resource.deprecated else SubscriptionList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(PageParams, resource.collection),
        deprecated=resource.deprecated,
        dependencies=readers,
    )
    async def list_subscriptions(request: Request) -> Response:
        params, workspace = read_page(request), authenticated_key(request).workspace
        page = await run_in_threadpool(_list_subscriptions, service, workspace, params)
        if resource.deprecated:
            return json_response(
                StreamList(
                    streams=page.subscriptions, next=page.next, projected_to=page.projected_to
                )
            )
        return json_response(page)

    @routes.get(
        resource.path,
        summary="Get a subscription with its progress",
        operation_id=f"get_{resource.noun}",
        response_model=Subscription,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SubscriptionPath, resource.path),
        deprecated=resource.deprecated,
        dependencies=readers,
    )
    async def get_subscription(request: Request) -> Response:
        id_, workspace = read_path(request).id, authenticated_key(request).workspace
        row = await run_in_threadpool(service.deliveries.subscriptions.get, workspace, id_)
        return json_response(_to_subscription(row))


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
