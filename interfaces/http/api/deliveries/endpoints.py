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
from interfaces.http.kit.definition_resource import Answer, Resource, Schemas, Summaries
from interfaces.http.kit.operation import READERS, Operation, operation_routes
from interfaces.service import Service
from projections.kit import cursors
from projections.kit.pages import split_page

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
    COLLECTION,
    "endpoint",
    "deliveries",
    lambda service: service.deliveries.endpoints,
    schemas=Schemas(
        EndpointPath,
        EndpointCreate,
        EndpointUpdate,
        Endpoint,
        EndpointRevision,
        EndpointRevisionList,
    ),
    summaries=Summaries(
        "Create an endpoint; the signing secret is returned only once",
        "Update an endpoint; the signing secret is kept",
        "Delete an endpoint; its pending deliveries fail",
        "List an endpoint's configurations with actor, time and reason",
    ),
    verbs=("create", "update", "delete"),
    created=EndpointWithSecret,
    definition_json=definition_json,
    answer_json=_answer_json,
    replace_errors=(400, 401, 403, 404, 409, 413, 503),
)


def endpoint_routes(service: Service) -> APIRouter:
    """Build the routes that read endpoints, rotate their secrets and enable them."""
    endpoints = service.deliveries.endpoints
    list_endpoints = Operation(
        "GET",
        COLLECTION,
        "list_endpoints",
        "List endpoints with their health",
        keys=READERS,
        params=PageParams,
        answer=EndpointList,
        run=lambda key, params, _: _list_endpoints(service, key.workspace, params),
    )
    get_endpoint = Operation(
        "GET",
        PATH,
        "get_endpoint",
        "Get an endpoint with its health",
        keys=READERS,
        params=EndpointPath,
        answer=Endpoint,
        errors=(400, 401, 403, 404, 503),
        run=lambda key, path, _: _to_endpoint(endpoints.get(key.workspace, path.id)),
    )
    rotate_endpoint = Operation(
        "POST",
        f"{PATH}/rotate",
        "rotate_endpoint",
        "Rotate the signing secret; the previous one stays valid for a day",
        params=EndpointPath,
        answer=EndpointWithSecret,
        errors=(400, 401, 403, 404, 409, 503),
        run=lambda key, path, _: _with_secret(*endpoints.rotate_secret(key.workspace, path.id)),
    )
    enable_endpoint = Operation(
        "POST",
        f"{PATH}/enable",
        "enable_endpoint",
        "Enable an endpoint; pending deliveries are sent first",
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
    page, next_page = split_page(rows, params.limit, lambda row: cursors.encode_text(row.id))
    return EndpointList(
        endpoints=[_to_endpoint(row) for row in page],
        next=next_page,
        projected_to=head,
    )


def _to_endpoint(row: EndpointRow) -> Endpoint:
    return Endpoint.model_validate(row._asdict() | {"previous_secret_until": row.previous_until})


def _with_secret(row: EndpointRow, secret: str | None) -> EndpointWithSecret:
    return EndpointWithSecret.model_validate(
        _to_endpoint(row).model_dump(mode="python") | {"secret": secret}
    )
