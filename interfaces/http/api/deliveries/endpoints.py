"""Endpoints as the API serves them: definitions, health, and rotation of secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from msgspec import json

from application.definitions.store import DefinitionResult
from application.ledger.tables.endpoints import EndpointRow
from domain.definitions.definition import DefinitionVersion
from interfaces.http.api.deliveries.schemas import (
    Endpoint,
    EndpointCreate,
    EndpointList,
    EndpointPath,
    EndpointRevision,
    EndpointRevisionList,
    EndpointUpdate,
    EndpointWithSecret,
    PageParams,
)
from interfaces.http.kit.definition_routes import Answer, Resource
from interfaces.http.kit.operation import READERS, Operation, operation_routes
from interfaces.service import Service
from projections.kit import cursors

COLLECTION = "/v1/endpoints"
PATH = f"{COLLECTION}/{{id}}"


def definition_json(definition: DefinitionVersion) -> Mapping[str, Any]:
    """Return the JSON form of an endpoint's or a subscription's definition."""
    fields: dict[str, Any] = json.decode(definition.document)
    return fields


def _answer_json(service: Service) -> Answer:
    endpoints = service.deliveries.endpoints

    def answer(workspace: int, result: DefinitionResult[Any]) -> Mapping[str, Any]:
        row = endpoints.get(workspace, result.state.id)
        secret = endpoints.secret(row) if result.created else None
        return _with_secret(row, secret).model_dump(mode="json")

    return answer


ENDPOINTS = Resource(
    collection=COLLECTION,
    noun="endpoint",
    verbs=("create", "update", "delete"),
    tag="deliveries",
    commands=lambda service: service.deliveries.endpoints,
    path_params=EndpointPath,
    create=EndpointCreate,
    replace=EndpointUpdate,
    answer=Endpoint,
    created=EndpointWithSecret,
    revision=EndpointRevision,
    revisions=EndpointRevisionList,
    create_summary="Create an endpoint; the signing secret is returned only once",
    replace_summary="Update an endpoint; the signing secret is kept",
    archive_summary="Delete an endpoint; its pending deliveries fail",
    history_summary="List an endpoint's configurations with actor, time and reason",
    definition_json=definition_json,
    answer_json=_answer_json,
    replace_errors=(400, 401, 403, 404, 409, 413, 503),
)


def endpoint_routes(service: Service) -> APIRouter:
    """Build the routes that read endpoints, rotate their secrets and enable them."""
    endpoints = service.deliveries.endpoints
    list_endpoints = Operation(
        method="GET",
        path=COLLECTION,
        summary="List endpoints with their health",
        operation_id="list_endpoints",
        keys=READERS,
        params=PageParams,
        answer=EndpointList,
        run=lambda key, params, _: _list_endpoints(service, key.workspace, params),
    )
    get_endpoint = Operation(
        method="GET",
        path=PATH,
        summary="Get an endpoint with its health",
        operation_id="get_endpoint",
        keys=READERS,
        params=EndpointPath,
        answer=Endpoint,
        errors=(400, 401, 403, 404, 503),
        run=lambda key, path, _: _to_endpoint(endpoints.get(key.workspace, path.id)),
    )
    rotate_endpoint = Operation(
        method="POST",
        path=f"{PATH}/rotate",
        summary="Rotate the signing secret; the previous one stays valid for a day",
        operation_id="rotate_endpoint",
        params=EndpointPath,
        answer=EndpointWithSecret,
        errors=(400, 401, 403, 404, 409, 503),
        run=lambda key, path, _: _with_secret(*endpoints.rotate_secret(key.workspace, path.id)),
    )
    enable_endpoint = Operation(
        method="POST",
        path=f"{PATH}/enable",
        summary="Enable an endpoint; pending deliveries are sent first",
        operation_id="enable_endpoint",
        params=EndpointPath,
        answer=Endpoint,
        errors=(400, 401, 403, 404, 503),
        run=lambda key, path, _: _to_endpoint(endpoints.enable(key.workspace, path.id)),
    )
    operations = (list_endpoints, get_endpoint, rotate_endpoint, enable_endpoint)
    return operation_routes(service.keys, "deliveries", operations)


def _list_endpoints(service: Service, workspace: int, params: PageParams) -> EndpointList:
    after = "" if params.cursor is None else cursors.decode_text(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    rows = service.deliveries.endpoints.list(workspace, after, params.limit + 1)
    page = rows[: params.limit]
    return EndpointList(
        endpoints=[_to_endpoint(row) for row in page],
        next=cursors.encode_text(page[-1].id) if len(rows) > len(page) else None,
        projected_to=head,
    )


def _to_endpoint(row: EndpointRow) -> Endpoint:
    return Endpoint.model_validate(row._asdict() | {"previous_secret_until": row.previous_until})


def _with_secret(row: EndpointRow, secret: str | None) -> EndpointWithSecret:
    return EndpointWithSecret.model_validate(
        _to_endpoint(row).model_dump(mode="python") | {"secret": secret}
    )
