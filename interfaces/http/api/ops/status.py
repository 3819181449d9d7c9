"""How the workspace is doing: where its read models are, and what could not be accepted."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Security
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.rejected import RejectedRow
from domain.core.errors import InvalidRequest
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page, json_response
from interfaces.http.kit.params import NoParams, openapi_parameters, params_reader
from interfaces.http.projection_health import Movement, ProjectionMonitor
from interfaces.service import Service


class ReadModelStatus(BaseModel):
    """How far one read model is."""

    name: str
    version: int
    position: int
    lag: int = Field(description="Events of the ledger that it has yet to take.")
    movement: Movement = Field(
        description="idle: caught up. moving: behind, and taking events. stalled: behind, and has"
        " not moved for 15 seconds or more; look at the worker's log."
    )
    updated_at: Instant | None = Field(description="When it last took events.")
    failure: str | None = Field(
        description="Why it could not take the next events, if it could not."
    )


class WorkspaceStatus(BaseModel):
    """How one workspace's ledger and read models are."""

    head: int = Field(description="Last position of the workspace's ledger.")
    projections: list[ReadModelStatus]


class RejectedMessageParams(BaseModel):
    """Which refusals."""

    code: str | None = Field(None, max_length=200, description="Only refusals for this reason.")
    source: str | None = Field(None, max_length=200, description="Only of this dialect.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=100, description="Most rows on a page.")] = 50


class RejectedMessage(BaseModel):
    """Something that could not be accepted, as it came."""

    id: UUID
    received_at: Instant
    source: str
    code: str
    message: str
    message_id: str | None
    times: int = Field(description="How often the same bytes were refused for the same reason.")
    raw: str
    raw_encoding: Literal["utf-8", "base64"] = Field(
        description="base64 where the bytes are not UTF-8."
    )


class RejectedMessageList(Page):
    """Refusals, newest first."""

    rejected: list[RejectedMessage]


def status_routes(service: Service, watch: ProjectionMonitor) -> APIRouter:
    """Return the routes of an operator who has a key of the workspace."""
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_nothing = params_reader(NoParams, "/v1/status")
    read_rejected = params_reader(RejectedMessageParams, "/v1/rejected")

    @routes.get(
        "/v1/status",
        summary="Head of the ledger, and each read model's position, lag and movement",
        operation_id="get_status",
        response_model=WorkspaceStatus,
        responses=error_responses(400, 401, 403, 503),
    )
    async def get_status(request: Request) -> Response:
        read_nothing(request)
        return json_response(
            await run_in_threadpool(
                _workspace_status, service, watch, authenticated_key(request).workspace
            )
        )

    @routes.get(
        "/v1/rejected",
        summary="What could not be accepted, with the reason and the bytes as they came",
        operation_id="get_rejected",
        response_model=RejectedMessageList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(RejectedMessageParams, "/v1/rejected"),
    )
    async def list_rejected(request: Request) -> Response:
        asked = read_rejected(request)
        return json_response(
            await run_in_threadpool(
                _list_rejected, service, authenticated_key(request).workspace, asked
            )
        )

    return routes


def _workspace_status(
    service: Service, watch: ProjectionMonitor, workspace: int
) -> WorkspaceStatus:
    models = watch.health(workspace)
    return WorkspaceStatus(
        head=models[0].head if models else service.ledger.heads().get(workspace, 0),
        projections=[ReadModelStatus.model_validate(it, from_attributes=True) for it in models],
    )


def _list_rejected(
    service: Service, workspace: int, params: RejectedMessageParams
) -> RejectedMessageList:
    # Before the rows: whatever was refused by then is among them.
    head = service.ledger.heads().get(workspace, 0)
    rows = service.ledger.list_rejected(
        workspace,
        code=params.code,
        source=params.source,
        before=_decode_cursor(params.cursor) if params.cursor is not None else None,
        limit=params.limit + 1,
    )
    page = rows[: params.limit]
    return RejectedMessageList(
        rejected=[_to_rejected_message(row) for row in page],
        next=_encode_cursor(page[-1]) if len(rows) > len(page) else None,
        projected_to=head,
    )


def _to_rejected_message(row: RejectedRow) -> RejectedMessage:
    try:
        raw, encoding = row.raw.decode(), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = b64encode(row.raw).decode(), "base64"
    shown = row._asdict() | {"raw": raw, "raw_encoding": encoding}
    return RejectedMessage.model_validate(shown)


def _encode_cursor(row: RejectedRow) -> str:
    return urlsafe_b64encode(f"{row.received_at.isoformat()} {row.id}".encode()).decode()


def _decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _, row = urlsafe_b64decode(cursor).decode().partition(" ")
        before = datetime.fromisoformat(at), UUID(row)
    except ValueError:
        before = None
    if before is None or before[0].tzinfo is None:
        raise InvalidRequest("this cursor is not one of ours; leave it out to start anew")
    return before
