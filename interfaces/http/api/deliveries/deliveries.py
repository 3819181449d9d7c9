"""Delivery routes: webhooks and ledger commands of rules and subscriptions, with attempts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from msgspec import json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.deliveries import AttemptRow, DeliveryRow
from application.ledger.tables.outbox import COMMAND_QUEUE
from interfaces.http.api.deliveries.schemas import (
    Attempt,
    Delivery,
    DeliveryList,
    DeliveryListParams,
    DeliveryPath,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors

COLLECTION = "/v1/deliveries"
PATH = f"{COLLECTION}/{{id}}"
REPLAY = f"{PATH}/replay"


def delivery_routes(service: Service) -> APIRouter:
    """Build the routes of `/v1/deliveries`."""
    deliveries = service.deliveries
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    readers = [Security(require_key(service.keys, "read", "admin"))]
    read_page, read_path = (
        params_reader(DeliveryListParams, COLLECTION),
        params_reader(DeliveryPath, PATH),
    )
    read_replay = params_reader(DeliveryPath, REPLAY)

    @routes.get(
        COLLECTION,
        summary="List deliveries with their attempts",
        operation_id="list_deliveries",
        response_model=DeliveryList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(DeliveryListParams, COLLECTION),
        dependencies=readers,
    )
    async def list_deliveries(request: Request) -> Response:
        params = read_page(request)
        return json_response(
            await run_in_threadpool(
                _list_deliveries, service, authenticated_key(request).workspace, params
            )
        )

    @routes.get(
        PATH,
        summary="Get a delivery with its attempts",
        operation_id="get_delivery",
        response_model=Delivery,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(DeliveryPath, PATH),
        dependencies=readers,
    )
    async def get_delivery(request: Request) -> Response:
        command = partial(
            deliveries.get, authenticated_key(request).workspace, read_path(request).id
        )
        return json_response(_to_delivery(*await run_in_threadpool(command)))

    @routes.post(
        REPLAY,
        summary="Redeliver",
        operation_id="replay_delivery",
        response_model=Delivery,
        responses=error_responses(400, 401, 403, 404, 409, 503),
        openapi_extra=openapi_parameters(DeliveryPath, REPLAY),
        dependencies=[Security(require_key(service.keys, "admin"))],
    )
    async def replay_delivery(request: Request) -> Response:
        command = partial(
            deliveries.replay, authenticated_key(request).workspace, read_replay(request).id
        )
        return json_response(_to_delivery(*await run_in_threadpool(command)))

    return routes


def _list_deliveries(service: Service, workspace: int, params: DeliveryListParams) -> DeliveryList:
    before = None if params.cursor is None else cursors.decode_stream(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    rows, attempts = service.deliveries.list(
        workspace,
        rule=params.rule,
        endpoint=params.endpoint,
        state=params.state,
        before=before,
        limit=params.limit + 1,
    )
    page = rows[: params.limit]
    more = len(rows) > len(page)
    return DeliveryList(
        deliveries=[_to_delivery(row, attempts[row.id]) for row in page],
        next=cursors.encode_stream(page[-1].created_at, page[-1].id) if more else None,
        projected_to=head,
    )


def _to_delivery(row: DeliveryRow, attempts: Sequence[AttemptRow]) -> Delivery:
    return Delivery(
        id=row.id,
        rule=row.rule,
        version=row.version,
        cause=row.cause,
        profile_id=row.profile_stream,
        endpoint=None if row.queue == COMMAND_QUEUE else row.queue,
        action=_decode_action(row.action),
        state=row.state,
        reason=row.reason,
        created_at=row.created_at,
        due_at=row.due_at,
        finished_at=row.finished_at,
        attempts=[
            Attempt(
                attempt=attempt.attempt,
                at=attempt.at,
                duration_ms=attempt.duration_ms,
                status=attempt.status,
                error=attempt.error,
                reply=None if attempt.reply is None else attempt.reply.decode("utf-8", "replace"),
            )
            for attempt in attempts
        ],
    )


def _decode_action(action: bytes) -> Any:
    try:
        return json.decode(action) if action else None
    except ValueError:
        return action.decode("utf-8", "replace")
