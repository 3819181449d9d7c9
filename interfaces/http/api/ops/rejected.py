"""Rejected messages: what ingest could not accept, with the reason and the received bytes."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from application.ledger.tables.rejected import RejectedRow
from domain.core.errors import InvalidRequest
from interfaces.http.api.ops.schemas import (
    RejectedMessage,
    RejectedMessageList,
    RejectedMessageParams,
)
from interfaces.http.kit.operation import READERS, Operation, operation_routes
from interfaces.service import Service
from projections.kit.pages import split_page


def rejected_routes(service: Service) -> APIRouter:
    """Build the route of `/v1/rejected`."""
    list_rejected = Operation(
        "GET",
        "/v1/rejected",
        "list_rejected_messages",
        "List rejected messages, newest first",
        keys=READERS,
        params=RejectedMessageParams,
        answer=RejectedMessageList,
        run=lambda key, params, _: _list_rejected(service, key.workspace, params),
    )
    return operation_routes(service.keys, "operations", [list_rejected])


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
    page, next_page = split_page(rows, params.limit, _encode_cursor)
    return RejectedMessageList(
        rejected=[_to_rejected_message(row) for row in page],
        next=next_page,
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
