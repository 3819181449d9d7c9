"""Subscriptions as the API serves them: definitions for admin keys, and their progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from msgspec import json

from application.definitions.store import DefinitionResult
from application.ledger.tables.keys import ApiKey
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
from interfaces.http.kit.definition_resource import Answer, Resource, Schemas, Summaries
from interfaces.http.kit.json_response import Page
from interfaces.http.kit.operation import READERS, Operation, operation_routes
from interfaces.service import Service
from projections.kit import cursors
from projections.kit.pages import split_page


def _answer_json(service: Service) -> Answer:
    def answer(workspace: int, result: DefinitionResult[Any]) -> Mapping[str, Any]:
        row = service.deliveries.subscriptions.get(workspace, result.state.id)
        return _to_subscription(row).model_dump(mode="json")

    return answer


SUBSCRIPTIONS = Resource(
    "/v1/subscriptions",
    "subscription",
    "deliveries",
    lambda service: service.deliveries.subscriptions,
    schemas=Schemas(
        SubscriptionPath,
        SubscriptionCreate,
        SubscriptionUpdate,
        Subscription,
        SubscriptionRevision,
        SubscriptionRevisionList,
    ),
    summaries=Summaries(
        "Create a subscription: forwards recorded events as webhooks, in no guaranteed order",
        "Update a subscription; it continues from its position",
        "Delete a subscription; deliveries already queued are still sent",
        "List a subscription's definitions with actor, time and reason",
    ),
    verbs=("create", "update", "delete"),
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
    schemas=SUBSCRIPTIONS.schemas._replace(revisions=None),
    deprecated=True,
)
"""The former path, kept for one release: in an event-sourced system a stream is an event stream."""


def subscription_routes(service: Service) -> APIRouter:
    """Build the routes that read subscriptions, and their deprecated alias `/v1/streams`."""
    operations = (*_read_operations(service, SUBSCRIPTIONS), *_read_operations(service, STREAMS))
    return operation_routes(service.keys, "deliveries", operations)


def _read_operations(service: Service, resource: Resource) -> tuple[Operation, Operation]:
    def list_subscriptions(key: ApiKey, params: PageParams, _: None) -> Page:
        page = _list_subscriptions(service, key.workspace, params)
        if not resource.deprecated:
            return page
        return StreamList(
            streams=page.subscriptions, next=page.next, projected_to=page.projected_to
        )

    def get_subscription(key: ApiKey, path: SubscriptionPath, _: None) -> Subscription:
        return _to_subscription(service.deliveries.subscriptions.get(key.workspace, path.id))

    return (
        Operation(
            "GET",
            resource.collection,
            f"list_{resource.noun}s",
            "List subscriptions with their progress",
            keys=READERS,
            params=PageParams,
            answer=StreamList if resource.deprecated else SubscriptionList,
            deprecated=resource.deprecated,
            run=list_subscriptions,
        ),
        Operation(
            "GET",
            resource.path,
            f"get_{resource.noun}",
            "Get a subscription with its progress",
            keys=READERS,
            params=SubscriptionPath,
            answer=Subscription,
            errors=(400, 401, 403, 404, 503),
            deprecated=resource.deprecated,
            run=get_subscription,
        ),
    )


def _list_subscriptions(service: Service, workspace: int, params: PageParams) -> SubscriptionList:
    after = "" if params.cursor is None else cursors.decode_text(params.cursor)
    # Read before the rows: a row may be newer than this position, never older.
    head = service.ledger.heads().get(workspace, 0)
    rows = service.deliveries.subscriptions.list(workspace, after, params.limit + 1)
    page, next_page = split_page(rows, params.limit, lambda row: cursors.encode_text(row.id))
    return SubscriptionList(
        subscriptions=[_to_subscription(row) for row in page],
        next=next_page,
        projected_to=head,
    )


def _to_subscription(row: SubscriptionRow) -> Subscription:
    progress = {"id": row.id, "version": row.version, "position": row.position}
    return Subscription.model_validate(
        json.decode(row.definition) | progress | {"created_at": row.created_at}
    )
