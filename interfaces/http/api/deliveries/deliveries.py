"""Delivery routes: webhooks and ledger commands of rules and subscriptions, with attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from msgspec import json

from application.ledger.tables.deliveries import AttemptRow, DeliveryRow
from application.ledger.tables.outbox import COMMAND_QUEUE
from interfaces.http.api.deliveries.schemas import (
    Attempt,
    Delivery,
    DeliveryList,
    DeliveryListParams,
    DeliveryPath,
)
from interfaces.http.kit.operation import READERS, Operation, operation_routes
from interfaces.service import Service
from projections.kit import cursors
from projections.kit.pages import split_page

COLLECTION = "/v1/deliveries"
PATH = f"{COLLECTION}/{{id}}"


def delivery_routes(service: Service) -> APIRouter:
    """Build the routes of `/v1/deliveries`."""
    deliveries = service.deliveries
    list_deliveries = Operation(
        "GET",
        COLLECTION,
        "list_deliveries",
        "List deliveries with their attempts",
        keys=READERS,
        params=DeliveryListParams,
        answer=DeliveryList,
        run=lambda key, params, _: _list_deliveries(service, key.workspace, params),
    )
    get_delivery = Operation(
        "GET",
        PATH,
        "get_delivery",
        "Get a delivery with its attempts",
        keys=READERS,
        params=DeliveryPath,
        answer=Delivery,
        errors=(400, 401, 403, 404, 503),
        run=lambda key, path, _: _to_delivery(*deliveries.get(key.workspace, path.id)),
    )
    replay_delivery = Operation(
        "POST",
        f"{PATH}/replay",
        "replay_delivery",
        "Redeliver",
        params=DeliveryPath,
        answer=Delivery,
        errors=(400, 401, 403, 404, 409, 503),
        run=lambda key, path, _: _to_delivery(*deliveries.replay(key.workspace, path.id)),
    )
    operations = (list_deliveries, get_delivery, replay_delivery)
    return operation_routes(service.keys, "deliveries", operations)


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
    page, next_page = split_page(
        rows, params.limit, lambda row: cursors.encode_stream(row.created_at, row.id)
    )
    return DeliveryList(
        deliveries=[_to_delivery(row, attempts[row.id]) for row in page],
        next=next_page,
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
