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
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed, answered
from interfaces.http.kit.params import Nothing, parameters, reader
from interfaces.http.projection_health import Movement, Watch
from interfaces.service import Service


class ReadModel(BaseModel):
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


class Status(BaseModel):
    """How one workspace's ledger and read models are."""

    head: int = Field(description="Last position of the workspace's ledger.")
    projections: list[ReadModel]


class RejectedParams(BaseModel):
    """Which refusals."""

    code: str | None = Field(None, max_length=200, description="Only refusals for this reason.")
    source: str | None = Field(None, max_length=200, description="Only of this dialect.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=100, description="Most rows on a page.")] = 50


class Rejected(BaseModel):
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


class RejectedList(Listed):
    """Refusals, newest first."""

    rejected: list[Rejected]


def operations(service: Service, watch: Watch) -> APIRouter:
    """Return the routes of an operator who has a key of the workspace."""
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(allow(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_nothing = reader(Nothing, "/v1/status")
    read_rejected = reader(RejectedParams, "/v1/rejected")

    @routes.get(
        "/v1/status",
        summary="Head of the ledger, and each read model's position, lag and movement",
        operation_id="get_status",
        response_model=Status,
        responses=documented(400, 401, 403, 503),
    )
    async def status(request: Request) -> Response:
        read_nothing(request)
        return answered(await run_in_threadpool(_status, service, watch, key_of(request).workspace))

    @routes.get(
        "/v1/rejected",
        summary="What could not be accepted, with the reason and the bytes as they came",
        operation_id="get_rejected",
        response_model=RejectedList,
        responses=documented(400, 401, 403, 503),
        openapi_extra=parameters(RejectedParams, "/v1/rejected"),
    )
    async def rejected(request: Request) -> Response:
        asked = read_rejected(request)
        return answered(
            await run_in_threadpool(_rejected, service, key_of(request).workspace, asked)
        )

    return routes


def _status(service: Service, watch: Watch, workspace: int) -> Status:
    models = watch.look(workspace)
    return Status(
        head=models[0].head if models else service.ledger.heads().get(workspace, 0),
        projections=[ReadModel.model_validate(it, from_attributes=True) for it in models],
    )


def _rejected(service: Service, workspace: int, asked: RejectedParams) -> RejectedList:
    # Before the rows: whatever was refused by then is among them.
    head = service.ledger.heads().get(workspace, 0)
    rows = service.ledger.rejected(
        workspace,
        code=asked.code,
        source=asked.source,
        before=_before(asked.cursor) if asked.cursor is not None else None,
        limit=asked.limit + 1,
    )
    page = rows[: asked.limit]
    return RejectedList(
        rejected=[_shown(row) for row in page],
        next=_cursor(page[-1]) if len(rows) > len(page) else None,
        projected_to=head,
    )


def _shown(row: RejectedRow) -> Rejected:
    try:
        raw, encoding = row.raw.decode(), "utf-8"
    except UnicodeDecodeError:
        raw, encoding = b64encode(row.raw).decode(), "base64"
    shown = row._asdict() | {"raw": raw, "raw_encoding": encoding}
    return Rejected.model_validate(shown)


def _cursor(row: RejectedRow) -> str:
    return urlsafe_b64encode(f"{row.received_at.isoformat()} {row.id}".encode()).decode()


def _before(cursor: str) -> tuple[datetime, UUID]:
    try:
        at, _, row = urlsafe_b64decode(cursor).decode().partition(" ")
        before = datetime.fromisoformat(at), UUID(row)
    except ValueError:
        before = None
    if before is None or before[0].tzinfo is None:
        raise InvalidRequest("this cursor is not one of ours; leave it out to start anew")
    return before
