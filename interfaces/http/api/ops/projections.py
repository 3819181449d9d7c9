"""Projection routes: progress, rebuild, verification and cancellation of read models."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from interfaces.http.api.ops.schemas import (
    CancelBuildRequest,
    ProjectionPath,
    ReadModelBuild,
    ReadModelDetail,
    ReadModelList,
    ReadModelStatus,
    RebuildRequest,
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
from interfaces.http.projection_health import ProjectionMonitor
from interfaces.service import Service
from projections.rebuild.progress import BuildProgress
from projections.rebuild.service import RebuildService
from projections.runtime.build_tables import BuildKind

PATH = "/v1/projections/{name}"


def projection_routes(service: Service, monitor: ProjectionMonitor) -> APIRouter:
    """Build the routes of `/v1/projections`."""
    rebuilds = RebuildService(service.projector)
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_path = (
        params_reader(NoParams, "/v1/projections"),
        params_reader(ProjectionPath, PATH),
    )

    def list_read_models(workspace: int) -> ReadModelList:
        builds = rebuilds.status()
        return ReadModelList(
            projections=[
                ReadModelDetail(
                    **ReadModelStatus.model_validate(model, from_attributes=True).model_dump(),
                    build=_to_build(builds.get(model.name)),
                )
                for model in monitor.health(workspace)
            ]
        )

    def request_build(
        workspace: int, name: str, kind: BuildKind, *, restart: bool = False
    ) -> ReadModelList:
        rebuilds.request([name], kind, restart=restart)
        return list_read_models(workspace)

    def cancel_build(workspace: int, name: str, *, discard: bool) -> ReadModelList:
        rebuilds.cancel(name, discard=discard)
        return list_read_models(workspace)

    @routes.get(
        "/v1/projections",
        summary="List read models with progress and last build",
        operation_id="list_projections",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 503),
    )
    async def list_projections(request: Request) -> Response:
        read_nothing(request)
        return json_response(
            await run_in_threadpool(list_read_models, authenticated_key(request).workspace)
        )

    @routes.post(
        f"{PATH}/rebuild",
        status_code=202,
        summary="Rebuild a read model in a shadow schema and switch to it",
        operation_id="rebuild_projection",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(RebuildRequest) | openapi_parameters(ProjectionPath, PATH),
    )
    async def rebuild_projection(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, RebuildRequest)
        command = partial(request_build, restart=payload.restart)
        return json_response(
            await run_in_threadpool(
                command, authenticated_key(request).workspace, path.name, "rebuild"
            ),
            202,
        )

    @routes.post(
        f"{PATH}/verify",
        status_code=202,
        summary="Verify a read model against a shadow rebuild, row by row",
        operation_id="verify_projection",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(NoParams) | openapi_parameters(ProjectionPath, PATH),
    )
    async def verify_projection(request: Request) -> Response:
        path = read_path(request)
        await parse_body(request, NoParams)
        return json_response(
            await run_in_threadpool(
                request_build, authenticated_key(request).workspace, path.name, "verify"
            ),
            202,
        )

    @routes.post(
        f"{PATH}/cancel",
        summary="Cancel a build; a new request resumes it",
        operation_id="cancel_projection",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(CancelBuildRequest) | openapi_parameters(ProjectionPath, PATH),
    )
    async def cancel_projection(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, CancelBuildRequest)
        command = partial(cancel_build, discard=payload.discard)
        return json_response(
            await run_in_threadpool(command, authenticated_key(request).workspace, path.name)
        )

    return routes


def _to_build(build: BuildProgress | None) -> ReadModelBuild | None:
    return None if build is None else ReadModelBuild.model_validate(build, from_attributes=True)
