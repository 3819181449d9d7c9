"""Endpoints as the API serves them: definitions, health, and rotation of secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from fastapi import APIRouter, Security
from msgspec import json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.store import DefinitionResult
from application.deliveries.endpoints import EndpointService
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
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.definition_routes import Answer, Resource
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors

COLLECTION = "/v1/endpoints"
PATH = f"{COLLECTION}/{{id}}"

T = TypeVar("T")


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
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    admin = [Security(require_key(service.keys, "admin"))]
    readers = [Security(require_key(service.keys, "read", "admin"))]
    read_page, read_path = params_reader(PageParams, COLLECTION), params_reader(EndpointPath, PATH)

    @routes.get(
        COLLECTION,
        summary="List endpoints with their health",
        operation_id="list_endpoints",
        response_model=EndpointList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(PageParams, COLLECTION),
        dependencies=readers,
    )
    async def list_endpoints(request: Request) -> Response:
        params = read_page(request)
        return json_response(
            await run_in_threadpool(
                _list_endpoints, service, authenticated_key(request).workspace, params
            )
        )

    @routes.get(
        PATH,
        summary="Get an endpoint with its health",
        operation_id="get_endpoint",
        response_model=Endpoint,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(EndpointPath, PATH),
        dependencies=readers,
    )
    async def get_endpoint(request: Request) -> Response:
        return json_response(
            _to_endpoint(await _run_command(request, endpoints.get, read_path(request).id))
        )

    _add_action_routes(routes, endpoints, admin)
    return routes


def _add_action_routes(routes: APIRouter, endpoints: EndpointService, admin: list[Any]) -> None:
    rotate_path, enable_path = f"{PATH}/rotate", f"{PATH}/enable"
    read_rotate, read_enable = (
        params_reader(EndpointPath, rotate_path),
        params_reader(EndpointPath, enable_path),
    )

    @routes.post(
        rotate_path,
        summary="Rotate the signing secret; the previous one stays valid for a day",
        operation_id="rotate_endpoint",
        response_model=EndpointWithSecret,
        responses=error_responses(400, 401, 403, 404, 409, 503),
        openapi_extra=openapi_parameters(EndpointPath, rotate_path),
        dependencies=admin,
    )
    async def rotate_endpoint_secret(request: Request) -> Response:
        return json_response(
            _with_secret(
                *await _run_command(request, endpoints.rotate_secret, read_rotate(request).id)
            )
        )

    @routes.post(
        enable_path,
        summary="Enable an endpoint; pending deliveries are sent first",
        operation_id="enable_endpoint",
        response_model=Endpoint,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(EndpointPath, enable_path),
        dependencies=admin,
    )
    async def enable_endpoint(request: Request) -> Response:
        return json_response(
            _to_endpoint(await _run_command(request, endpoints.enable, read_enable(request).id))
        )


async def _run_command(request: Request, command: Callable[..., T], *args: object) -> T:
    return await run_in_threadpool(partial(command, authenticated_key(request).workspace, *args))


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
