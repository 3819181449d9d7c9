"""Projection routes: progress, rebuild, verification and cancellation of read models."""

from __future__ import annotations

from fastapi import APIRouter

from application.ledger.tables.keys import ApiKey
from interfaces.http.api.ops.schemas import (
    CancelBuildRequest,
    ProjectionPath,
    ReadModelBuild,
    ReadModelDetail,
    ReadModelList,
    ReadModelStatus,
    RebuildRequest,
)
from interfaces.http.kit.operation import Operation, operation_routes
from interfaces.http.kit.params import NoParams
from interfaces.http.projection_health import ProjectionMonitor
from interfaces.service import Service
from projections.rebuild.progress import BuildProgress
from projections.rebuild.service import RebuildService

PATH = "/v1/projections/{name}"


def projection_routes(service: Service, monitor: ProjectionMonitor) -> APIRouter:
    """Build the routes of `/v1/projections`."""
    read_models = _ReadModels(RebuildService(service.projector), monitor)
    list_projections = Operation(
        "GET",
        "/v1/projections",
        "list_projections",
        "List read models with progress and last build",
        answer=ReadModelList,
        run=read_models.list,
    )
    rebuild_projection = Operation(
        "POST",
        f"{PATH}/rebuild",
        "rebuild_projection",
        "Rebuild a read model in a shadow schema and switch to it",
        status=202,
        params=ProjectionPath,
        body=RebuildRequest,
        answer=ReadModelList,
        errors=(400, 401, 403, 404, 409, 413, 503),
        run=read_models.rebuild,
    )
    verify_projection = Operation(
        "POST",
        f"{PATH}/verify",
        "verify_projection",
        "Verify a read model against a shadow rebuild, row by row",
        status=202,
        params=ProjectionPath,
        body=NoParams,
        answer=ReadModelList,
        errors=(400, 401, 403, 404, 409, 413, 503),
        run=read_models.verify,
    )
    cancel_projection = Operation(
        "POST",
        f"{PATH}/cancel",
        "cancel_projection",
        "Cancel a build; a new request resumes it",
        params=ProjectionPath,
        body=CancelBuildRequest,
        answer=ReadModelList,
        errors=(400, 401, 403, 404, 413, 503),
        run=read_models.cancel,
    )
    operations = (list_projections, rebuild_projection, verify_projection, cancel_projection)
    return operation_routes(service.keys, "operations", operations)


class _ReadModels:
    """What the routes execute; each answers with all read models as they then are."""

    def __init__(self, rebuilds: RebuildService, monitor: ProjectionMonitor) -> None:
        self._rebuilds, self._monitor = rebuilds, monitor

    def list(self, key: ApiKey, _: NoParams, __: None = None) -> ReadModelList:
        return self._read_models(key)

    def rebuild(self, key: ApiKey, path: ProjectionPath, payload: RebuildRequest) -> ReadModelList:
        self._rebuilds.request([path.name], "rebuild", restart=payload.restart)
        return self._read_models(key)

    def verify(self, key: ApiKey, path: ProjectionPath, _: NoParams) -> ReadModelList:
        self._rebuilds.request([path.name], "verify", restart=False)
        return self._read_models(key)

    def cancel(
        self, key: ApiKey, path: ProjectionPath, payload: CancelBuildRequest
    ) -> ReadModelList:
        self._rebuilds.cancel(path.name, discard=payload.discard)
        return self._read_models(key)

    def _read_models(self, key: ApiKey) -> ReadModelList:
        builds = self._rebuilds.status()
        return ReadModelList(
            projections=[
                ReadModelDetail(
                    **ReadModelStatus.model_validate(model, from_attributes=True).model_dump(),
                    build=_to_build(builds.get(model.name)),
                )
                for model in self._monitor.health(key.workspace)
            ]
        )


def _to_build(build: BuildProgress | None) -> ReadModelBuild | None:
    return None if build is None else ReadModelBuild.model_validate(build, from_attributes=True)
