"""Rejected messages: what ingest could not accept, with the reason and the received bytes."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.rejected import RejectedRow
from domain.core.errors import InvalidRequest
from interfaces.http.api.ops.schemas import (
    RejectedMessage,
    RejectedMessageList,
    RejectedMessageParams,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service


def rejected_routes(service: Service) -> APIRouter:
    """Build the route of `/v1/rejected`."""
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_rejected = params_reader(RejectedMessageParams, "/v1/rejected")

    @routes.get(
        "/v1/rejected",
        summary="List rejected messages, newest first",
        operation_id="list_rejected_messages",
        response_model=RejectedMessageList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(RejectedMessageParams, "/v1/rejected"),
    )
    async def list_rejected_messages(request: Request) -> Response:
        params = read_rejected(request)
        return json_response(
            await run_in_threadpool(
                _list_rejected, service, authenticated_key(request).workspace, params
            )
        )

    return routes


def _list_rejected(
    service: Service, workspace: int, params: RejectedMessageParams
) -> RejectedMessageList:
    # Read before the rows: every rejection up to this position is among them.
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
    fields = row._asdict() | {"raw": raw, "raw_encoding": encoding}
    return RejectedMessage.model_validate(fields)


def _encode_cursor(row: RejectedRow) -> str:
    return urlsafe_b64encode(f"{row.received_at.isoformat()} {row.id}".encode()).decode()


def _decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    try:
        received_at, _, row_id = urlsafe_b64decode(cursor).decode().partition(" ")
        before = datetime.fromisoformat(received_at), UUID(row_id)
    except ValueError:
        before = None
    if before is None or before[0].tzinfo is None:
        raise InvalidRequest("invalid cursor; omit it to start from the first page")
    return before
