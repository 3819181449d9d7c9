"""Key and workspace routes, for admin keys."""

from __future__ import annotations

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from interfaces.http.api.ops.schemas import (
    KeyCreate,
    KeyInfo,
    KeyList,
    KeyPath,
    KeyWithSecret,
    Workspace,
    WorkspaceList,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service


def key_routes(service: Service) -> APIRouter:
    """Build the routes of `/v1/keys` and `/v1/workspaces`."""
    routes = APIRouter(
        tags=["keys"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing = params_reader(NoParams, "/v1/keys")
    read_key = params_reader(KeyPath, "/v1/keys/{id}")

    @routes.get(
        "/v1/keys",
        summary="List keys, including revoked ones",
        operation_id="list_keys",
        response_model=KeyList,
        responses=error_responses(400, 401, 403, 503),
    )
    async def list_keys(request: Request) -> Response:
        read_nothing(request)
        return json_response(
            await run_in_threadpool(_list_keys, service, authenticated_key(request).workspace)
        )

    @routes.post(
        "/v1/keys",
        status_code=201,
        summary="Create a key; the secret is returned only once",
        operation_id="create_key",
        response_model=KeyWithSecret,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(KeyCreate),
    )
    async def create_key(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, KeyCreate)
        created = await run_in_threadpool(
            service.keys.create, authenticated_key(request).workspace, payload.kind
        )
        return json_response(KeyWithSecret(id=created.id, kind=created.kind, key=created.text), 201)

    @routes.delete(
        "/v1/keys/{id}",  # noqa: FAST003 - read by `read_key`
        status_code=204,
        summary="Revoke a key (takes up to 5 s)",
        operation_id="revoke_key",
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(KeyPath, "/v1/keys/{id}"),
    )
    async def revoke_key(request: Request) -> Response:
        params = read_key(request)
        await run_in_threadpool(
            service.keys.revoke, authenticated_key(request).workspace, params.id
        )
        return Response(status_code=204)

    @routes.get(
        "/v1/workspaces",
        summary="Get the key's workspace",
        operation_id="list_workspaces",
        response_model=WorkspaceList,
        responses=error_responses(400, 401, 403, 503),
    )
    async def list_workspaces(request: Request) -> Response:
        read_nothing(request)
        return json_response(
            await run_in_threadpool(_list_workspaces, service, authenticated_key(request).workspace)
        )

    return routes


def _list_keys(service: Service, workspace: int) -> KeyList:
    return KeyList(
        keys=[
            KeyInfo.model_validate(row, from_attributes=True)
            for row in service.keys.list(workspace)
        ],
        projected_to=service.ledger.heads().get(workspace, 0),
    )


def _list_workspaces(service: Service, workspace: int) -> WorkspaceList:
    return WorkspaceList(
        workspaces=[
            Workspace.model_validate(row, from_attributes=True)
            for row in service.workspaces.list()
            if row.id == workspace
        ],
        projected_to=service.ledger.heads().get(workspace, 0),
    )
