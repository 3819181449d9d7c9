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
from application.ledger.tables.outbox import COMMANDS
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed, answered
from interfaces.http.kit.params import parameters, reader
from interfaces.service import Service
from projections.kit import cursors

ALL = "/v1/deliveries"
PATH = f"{ALL}/{{id}}"
REPLAY = f"{PATH}/replay"

State = Literal["waiting", "sending", "delivered", "failed"]


class DeliveriesParams(BaseModel):
    """Which deliveries."""

    rule: str | None = Field(None, max_length=200, description="Only of this rule, or `stream:id`.")
    endpoint: str | None = Field(None, max_length=64, description="Only to this endpoint.")
    state: State | None = Field(None, description="Only in this state.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=100, description="Most rows on a page.")] = 50


class Which(BaseModel):
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
    state: State
    reason: str | None = Field(description="Why it failed, or waits for another attempt.")
    created_at: Instant
    due_at: Instant
    finished_at: Instant | None
    attempts: list[Attempt]


class DeliveryList(Listed):
    """Deliveries, newest first."""

    deliveries: list[Delivery]


def deliveries(service: Service) -> APIRouter:
    """Return the routes of deliveries."""
    outgoing = service.outgoing
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    anyone = [Security(allow(service.keys, "read", "admin"))]
    read_page, read_which = reader(DeliveriesParams, ALL), reader(Which, PATH)
    read_replay = reader(Which, REPLAY)

    @routes.get(
        ALL,
        summary="What was sent, waits to be sent or could not be, with every attempt",
        operation_id="list_deliveries",
        response_model=DeliveryList,
        responses=documented(400, 401, 403, 503),
        openapi_extra=parameters(DeliveriesParams, ALL),
        dependencies=anyone,
    )
    async def listed(request: Request) -> Response:
        asked = read_page(request)
        return answered(await run_in_threadpool(_listed, service, key_of(request).workspace, asked))

    @routes.get(
        PATH,
        summary="One delivery, with every attempt",
        operation_id="get_delivery",
        response_model=Delivery,
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(Which, PATH),
        dependencies=anyone,
    )
    async def one(request: Request) -> Response:
        act = partial(outgoing.get, key_of(request).workspace, read_which(request).id)
        return answered(_shown(*await run_in_threadpool(act)))

    @routes.post(
        REPLAY,
        summary="Do a delivery once more, under the same id, beginning now",
        operation_id="replay_delivery",
        response_model=Delivery,
        responses=documented(400, 401, 403, 404, 409, 503),
        openapi_extra=parameters(Which, REPLAY),
        dependencies=[Security(allow(service.keys, "admin"))],
    )
    async def replay(request: Request) -> Response:
        act = partial(outgoing.replay, key_of(request).workspace, read_replay(request).id)
        return answered(_shown(*await run_in_threadpool(act)))

    return routes


def _listed(service: Service, workspace: int, asked: DeliveriesParams) -> DeliveryList:
    before = None if asked.cursor is None else cursors.stream(asked.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found, attempts = service.outgoing.list(
        workspace,
        rule=asked.rule,
        endpoint=asked.endpoint,
        state=asked.state,
        before=before,
        limit=asked.limit + 1,
    )
    page = found[: asked.limit]
    more = len(found) > len(page)
    return DeliveryList(
        deliveries=[_shown(it, attempts[it.id]) for it in page],
        next=cursors.after_stream(page[-1].created_at, page[-1].id) if more else None,
        projected_to=head,
    )


def _shown(it: DeliveryRow, attempts: Sequence[AttemptRow]) -> Delivery:
    return Delivery(
        id=it.id,
        rule=it.rule,
        version=it.version,
        cause=it.cause,
        profile_id=it.person,
        endpoint=None if it.lane == COMMANDS else it.lane,
        action=_read(it.action),
        state=it.state,
        reason=it.reason,
        created_at=it.created_at,
        due_at=it.due_at,
        finished_at=it.finished_at,
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


def _read(action: bytes) -> Any:
    try:
        return json.decode(action) if action else None
    except ValueError:
        return action.decode("utf-8", "replace")
