"""Saved funnel routes: create, replace and archive for admin keys; results for read keys."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, Security
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.saved_funnels import SavedFunnelResult, SavedFunnelService
from interfaces.http.api.funnels.funnel_queries import answer_from_snapshot, count_funnel
from interfaces.http.api.funnels.schemas import (
    FunnelConversion,
    FunnelPath,
    SavedFunnelCreate,
    SavedFunnelReplace,
    SavedFunnelResultParams,
    SavedFunnelWriteResult,
)
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.command import ArchiveRequest, command_context
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.http.query_routes import resolve_min_position, wait_for_position
from interfaces.service import Service

PATH = "/v1/funnels/{id}"
RESULT = f"{PATH}/result"


def saved_funnel_routes(service: Service) -> APIRouter:
    """Build the routes that create, replace and archive saved funnels."""
    funnels = SavedFunnelService(service.ledger)
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_path = (
        params_reader(NoParams, "/v1/funnels"),
        params_reader(FunnelPath, PATH),
    )

    @routes.post(
        "/v1/funnels",
        status_code=201,
        summary="Create a saved funnel",
        operation_id="create_funnel",
        response_model=SavedFunnelWriteResult,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(SavedFunnelCreate)
        | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def create_funnel(request: Request) -> Response:
        read_nothing(request)
        payload, workspace = (
            await parse_body(request, SavedFunnelCreate),
            authenticated_key(request).workspace,
        )
        context = command_context(request, payload.reason)
        result = await run_in_threadpool(
            funnels.create, workspace, payload.id, payload.definition, context
        )
        return _response(result, 201 if result.changed else 200)

    @routes.put(
        PATH,
        summary="Create or replace a saved funnel",
        operation_id="define_funnel",
        response_model=SavedFunnelWriteResult,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(SavedFunnelReplace),
    )
    async def define_funnel(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, SavedFunnelReplace)
        command = partial(funnels.define, version=payload.version)
        context, workspace = (
            command_context(request, payload.reason),
            authenticated_key(request).workspace,
        )
        return _response(
            await run_in_threadpool(command, workspace, path.id, payload.definition, context)
        )

    @routes.delete(
        PATH,
        summary="Archive a saved funnel; its history is kept",
        operation_id="archive_funnel",
        response_model=SavedFunnelWriteResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(ArchiveRequest),
    )
    async def archive_funnel(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, ArchiveRequest)
        command = partial(funnels.archive, version=payload.version)
        context, workspace = (
            command_context(request, payload.reason),
            authenticated_key(request).workspace,
        )
        return _response(await run_in_threadpool(command, workspace, path.id, context))

    return routes


def saved_funnel_result_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Build the route of a saved funnel's current result."""
    funnels, limit = SavedFunnelService(service.ledger), ConcurrencyLimit()
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_path = params_reader(SavedFunnelResultParams, RESULT)

    @routes.get(
        RESULT,
        summary="Get the current result of a saved funnel",
        operation_id="get_funnel_result",
        response_model=FunnelConversion,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SavedFunnelResultParams, RESULT),
    )
    async def get_funnel_result(request: Request) -> Response:
        params, workspace = read_path(request), authenticated_key(request).workspace
        saved = await run_in_threadpool(funnels.funnel, workspace, params.id)
        answer = partial(count_funnel, saved.current.funnel)
        position = await resolve_min_position(service, workspace, params.min_position)
        args = (service, workspace, position, answer)
        return await wait_for_position(position, wait_seconds, limit, answer_from_snapshot, *args)

    return routes


def _openapi(body_model: type[BaseModel]) -> dict[str, Any]:
    parameters = openapi_parameters(FunnelPath, PATH)["parameters"]
    return openapi_body(body_model) | {"parameters": [*parameters, idempotency.OPENAPI_PARAMETER]}


def _response(result: SavedFunnelResult, status: int = 200) -> Response:
    funnel = result.funnel
    assert funnel.definition is not None
    answer = {
        "id": funnel.id,
        "name": funnel.definition.name,
        "description": funnel.definition.description,
        "funnel": msgspec.Raw(funnel.definition.document),
        "archived": funnel.archived,
        "version": funnel.version,
        "changed": result.changed,
        "position": result.position,
    }
    return Response(event_json.encode_json(answer), status, media_type="application/json")
