"""What rules and streams have sent, are to send, and could not: with every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Security
from msgspec import json
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.deliveries import AttemptRow, DeliveryRow
from application.ledger.tables.outbox import COMMAND_QUEUE
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page, json_response
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors

COLLECTION = "/v1/deliveries"
PATH = f"{COLLECTION}/{{id}}"
REPLAY = f"{PATH}/replay"

DeliveryState = Literal["waiting", "sending", "delivered", "failed"]


class DeliveryListParams(BaseModel):
    """Which deliveries."""

    rule: str | None = Field(None, max_length=200, description="Only of this rule, or `stream:id`.")
    endpoint: str | None = Field(None, max_length=64, description="Only to this endpoint.")
    state: DeliveryState | None = Field(None, description="Only in this state.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=100, description="Most rows on a page.")] = 50


class DeliveryPath(BaseModel):
    """Which delivery."""

    id: UUID


class Attempt(BaseModel):
    """One attempt."""

    attempt: int
    at: Instant
    duration_ms: int
    status: int | None = Field(description="What the receiver answered; null if it did not.")
    error: str | None = Field(description="Why there was no answer.")
    reply: str | None = Field(description="The first 1,000 bytes of the answer's body.")


class Delivery(BaseModel):
    """One action of a rule or stream, and what became of it."""

    id: UUID = Field(description="The `webhook-id` too, the same at every attempt.")
    rule: str
    version: int
    cause: str = Field(description="What set it off.")
    profile_id: UUID | None
    endpoint: str | None = Field(description="Null of an action that goes into the ledger.")
    action: Any = Field(description="As the rule has it; null once the person was erased.")
    state: DeliveryState
    reason: str | None = Field(description="Why it failed, or waits for another attempt.")
    created_at: Instant
    due_at: Instant
    finished_at: Instant | None
    attempts: list[Attempt]


class DeliveryList(Page):
    """Deliveries, newest first."""

    deliveries: list[Delivery]


def delivery_routes(service: Service) -> APIRouter:
    """Return the routes of deliveries."""
    outgoing = service.deliveries
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    anyone = [Security(require_key(service.keys, "read", "admin"))]
    read_page, read_which = (
        params_reader(DeliveryListParams, COLLECTION),
        params_reader(DeliveryPath, PATH),
    )
    read_replay = params_reader(DeliveryPath, REPLAY)

    @routes.get(
        COLLECTION,
        summary="What was sent, waits to be sent or could not be, with every attempt",
        operation_id="list_deliveries",
        response_model=DeliveryList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(DeliveryListParams, COLLECTION),
        dependencies=anyone,
    )
    async def list_deliveries(request: Request) -> Response:
        asked = read_page(request)
        return json_response(
            await run_in_threadpool(
                _list_deliveries, service, authenticated_key(request).workspace, asked
            )
        )

    @routes.get(
        PATH,
        summary="One delivery, with every attempt",
        operation_id="get_delivery",
        response_model=Delivery,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(DeliveryPath, PATH),
        dependencies=anyone,
    )
    async def get_delivery(request: Request) -> Response:
        act = partial(outgoing.get, authenticated_key(request).workspace, read_which(request).id)
        return json_response(_to_delivery(*await run_in_threadpool(act)))

    @routes.post(
        REPLAY,
        summary="Do a delivery once more, under the same id, beginning now",
        operation_id="replay_delivery",
        response_model=Delivery,
        responses=error_responses(400, 401, 403, 404, 409, 503),
        openapi_extra=openapi_parameters(DeliveryPath, REPLAY),
        dependencies=[Security(require_key(service.keys, "admin"))],
    )
    async def replay_delivery(request: Request) -> Response:
        act = partial(
            outgoing.replay, authenticated_key(request).workspace, read_replay(request).id
        )
        return json_response(_to_delivery(*await run_in_threadpool(act)))

    return routes


def _list_deliveries(service: Service, workspace: int, params: DeliveryListParams) -> DeliveryList:
    before = None if params.cursor is None else cursors.decode_stream(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found, attempts = service.deliveries.list(
        workspace,
        rule=params.rule,
        endpoint=params.endpoint,
        state=params.state,
        before=before,
        limit=params.limit + 1,
    )
    page = found[: params.limit]
    more = len(found) > len(page)
    return DeliveryList(
        deliveries=[_to_delivery(it, attempts[it.id]) for it in page],
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
                attempt=each.attempt,
                at=each.at,
                duration_ms=each.duration_ms,
                status=each.status,
                error=each.error,
                reply=None if each.reply is None else each.reply.decode("utf-8", "replace"),
            )
            for each in attempts
        ],
    )


def _decode_action(action: bytes) -> Any:
    try:
        return json.decode(action) if action else None
    except ValueError:
        return action.decode("utf-8", "replace")
