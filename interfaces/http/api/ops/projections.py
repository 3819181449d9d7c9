"""The read models: how far they are, building them anew beside what answers, and comparing."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from interfaces.http.api.ops.status import ReadModel
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, answered
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.http.projection_health import Watch
from interfaces.service import Service
from projections.rebuild.lifecycle import Lifecycle
from projections.rebuild.progress import Build as LastBuild
from projections.rebuild.tables import Kind, State

PATH = "/v1/projections/{name}"


class Which(BaseModel):
    """Which read model."""

    name: str = Field(max_length=100, description="As `GET /v1/projections` lists it.")


class Anew(BaseModel):
    """How to build."""

    model_config = ConfigDict(extra="forbid")

    anew: bool = Field(False, description="Do not go on with what a cancelled build left.")


class Stop(BaseModel):
    """How to stop."""

    model_config = ConfigDict(extra="forbid")

    discard: bool = Field(False, description="Drop what it has built, too.")


class Build(BaseModel):
    """The last build of a read model, over all workspaces."""

    kind: Kind
    state: State
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


class Built(ReadModel):
    """A read model, and its last build."""

    build: Build | None


class Projections(BaseModel):
    """The read models."""

    projections: list[Built]


def projections(service: Service, watch: Watch) -> APIRouter:
    """Return the routes by which read models are looked after."""
    lifecycle = Lifecycle(service.projector)
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = reader(Nothing, "/v1/projections"), reader(Which, PATH)

    def look(workspace: int) -> Projections:
        builds = lifecycle.look()
        return Projections(
            projections=[
                Built(
                    **ReadModel.model_validate(it, from_attributes=True).model_dump(),
                    build=_shown(builds.get(it.name)),
                )
                for it in watch.look(workspace)
            ]
        )

    def ask(workspace: int, name: str, kind: Kind, *, anew: bool = False) -> Projections:
        lifecycle.ask([name], kind, anew=anew)
        return look(workspace)

    def cancel(workspace: int, name: str, *, discard: bool) -> Projections:
        lifecycle.cancel(name, discard=discard)
        return look(workspace)

    @routes.get(
        "/v1/projections",
        summary="Each read model's position, lag and movement, and how far its last build is",
        operation_id="list_projections",
        response_model=Projections,
        responses=documented(400, 401, 403, 503),
    )
    async def list_all(request: Request) -> Response:
        read_nothing(request)
        return answered(await run_in_threadpool(look, key_of(request).workspace))

    @routes.post(
        f"{PATH}/rebuild",
        status_code=202,
        summary="Have a worker build a read model anew; it replaces the old one once it has caught up",
        operation_id="rebuild_projection",
        response_model=Projections,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=body(Anew) | parameters(Which, PATH),
    )
    async def rebuild(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Anew)
        act = partial(ask, anew=asked.anew)
        return answered(
            await run_in_threadpool(act, key_of(request).workspace, which.name, "rebuild"), 202
        )

    @routes.post(
        f"{PATH}/verify",
        status_code=202,
        summary="Have a worker build a read model aside and compare each row with those that answer",
        operation_id="verify_projection",
        response_model=Projections,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=body(Nothing) | parameters(Which, PATH),
    )
    async def verify(request: Request) -> Response:
        which = read_which(request)
        await body_of(request, Nothing)
        return answered(
            await run_in_threadpool(ask, key_of(request).workspace, which.name, "verify"), 202
        )

    @routes.post(
        f"{PATH}/cancel",
        summary="Stop a build, whoever works on it; asked for again, it goes on where it stood",
        operation_id="cancel_projection",
        response_model=Projections,
        responses=documented(400, 401, 403, 404, 413, 503),
        openapi_extra=body(Stop) | parameters(Which, PATH),
    )
    async def stop(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Stop)
        act = partial(cancel, discard=asked.discard)
        return answered(await run_in_threadpool(act, key_of(request).workspace, which.name))

    return routes


def _shown(build: LastBuild | None) -> Build | None:
    return None if build is None else Build.model_validate(build, from_attributes=True)
