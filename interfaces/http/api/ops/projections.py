"""The read models: how far they are, building them anew beside what answers, and comparing."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from interfaces.http.api.ops.status import ReadModelStatus
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.http.projection_health import ProjectionMonitor
from interfaces.service import Service
from projections.rebuild.progress import BuildProgress as LastBuild
from projections.rebuild.service import RebuildService
from projections.runtime.build_tables import BuildKind, BuildState

PATH = "/v1/projections/{name}"


class ProjectionPath(BaseModel):
    """Which read model."""

    name: str = Field(max_length=100, description="As `GET /v1/projections` lists it.")


class RebuildRequest(BaseModel):
    """How to build."""

    model_config = ConfigDict(extra="forbid")

    anew: bool = Field(False, description="Do not go on with what a cancelled build left.")


class CancelBuildRequest(BaseModel):
    """How to stop."""

    model_config = ConfigDict(extra="forbid")

    discard: bool = Field(False, description="Drop what it has built, too.")


class ReadModelBuild(BaseModel):
    """The last build of a read model, over all workspaces."""

    kind: BuildKind
    state: BuildState
    events: int = Field(description="Events taken.")
    total: int = Field(description="Events that the tables that answer have taken.")
    events_per_second: float
    seconds_left: float | None
    asked_at: Instant
    finished_at: Instant | None
    failure: str | None
    result: dict[str, Any] | None = Field(
        description="Of a verification: `same`, and each table's rows and how many differ."
    )


class ReadModelDetail(ReadModelStatus):
    """A read model, and its last build."""

    build: ReadModelBuild | None


class ReadModelList(BaseModel):
    """The read models."""

    projections: list[ReadModelDetail]


def projection_routes(service: Service, watch: ProjectionMonitor) -> APIRouter:
    """Return the routes by which read models are looked after."""
    lifecycle = RebuildService(service.projector)
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = (
        params_reader(NoParams, "/v1/projections"),
        params_reader(ProjectionPath, PATH),
    )

    def list_read_models(workspace: int) -> ReadModelList:
        builds = lifecycle.status()
        return ReadModelList(
            projections=[
                ReadModelDetail(
                    **ReadModelStatus.model_validate(it, from_attributes=True).model_dump(),
                    build=_to_build(builds.get(it.name)),
                )
                for it in watch.health(workspace)
            ]
        )

    def request_build(
        workspace: int, name: str, kind: BuildKind, *, anew: bool = False
    ) -> ReadModelList:
        lifecycle.request([name], kind, restart=anew)
        return list_read_models(workspace)

    def cancel_build(workspace: int, name: str, *, discard: bool) -> ReadModelList:
        lifecycle.cancel(name, discard=discard)
        return list_read_models(workspace)

    @routes.get(
        "/v1/projections",
        summary="Each read model's position, lag and movement, and how far its last build is",
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
        summary="Have a worker build a read model anew; it replaces the old one once it has caught up",
        operation_id="rebuild_projection",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(RebuildRequest) | openapi_parameters(ProjectionPath, PATH),
    )
    async def rebuild_projection(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, RebuildRequest)
        act = partial(request_build, anew=asked.anew)
        return json_response(
            await run_in_threadpool(
                act, authenticated_key(request).workspace, which.name, "rebuild"
            ),
            202,
        )

    @routes.post(
        f"{PATH}/verify",
        status_code=202,
        summary="Have a worker build a read model aside and compare each row with those that answer",
        operation_id="verify_projection",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=openapi_body(NoParams) | openapi_parameters(ProjectionPath, PATH),
    )
    async def verify_projection(request: Request) -> Response:
        which = read_which(request)
        await parse_body(request, NoParams)
        return json_response(
            await run_in_threadpool(
                request_build, authenticated_key(request).workspace, which.name, "verify"
            ),
            202,
        )

    @routes.post(
        f"{PATH}/cancel",
        summary="Stop a build, whoever works on it; asked for again, it goes on where it stood",
        operation_id="cancel_projection",
        response_model=ReadModelList,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(CancelBuildRequest) | openapi_parameters(ProjectionPath, PATH),
    )
    async def cancel_projection(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, CancelBuildRequest)
        act = partial(cancel_build, discard=asked.discard)
        return json_response(
            await run_in_threadpool(act, authenticated_key(request).workspace, which.name)
        )

    return routes


def _to_build(build: LastBuild | None) -> ReadModelBuild | None:
    return None if build is None else ReadModelBuild.model_validate(build, from_attributes=True)
