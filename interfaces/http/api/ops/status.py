"""Status route: ledger head and read-model progress of the key's workspace."""

from __future__ import annotations

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from interfaces.http.api.ops.schemas import (
    ReadModelStatus,
    WorkspaceStatus,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import json_response
from interfaces.http.kit.params import NoParams, params_reader
from interfaces.http.projection_health import ProjectionMonitor
from interfaces.service import Service
from projections import identity


def status_routes(service: Service, monitor: ProjectionMonitor) -> APIRouter:
    """Build the route of `/v1/status`."""
    routes = APIRouter(
        tags=["operations"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_nothing = params_reader(NoParams, "/v1/status")

    @routes.get(
        "/v1/status",
        summary="Get ledger head and read-model progress",
        operation_id="get_status",
        response_model=WorkspaceStatus,
        responses=error_responses(400, 401, 403, 503),
    )
    async def get_status(request: Request) -> Response:
        read_nothing(request)
        return json_response(
            await run_in_threadpool(
                _workspace_status, service, monitor, authenticated_key(request).workspace
            )
        )

    return routes


def _workspace_status(
    service: Service, monitor: ProjectionMonitor, workspace: int
) -> WorkspaceStatus:
    read_models = monitor.health(workspace)
    return WorkspaceStatus(
        head=read_models[0].head if read_models else service.ledger.heads().get(workspace, 0),
        capped_profiles=_count_capped_profiles(service, workspace),
        projections=[
            ReadModelStatus.model_validate(model, from_attributes=True) for model in read_models
        ],
    )


def _count_capped_profiles(service: Service, workspace: int) -> int:
    with service.engine.connect() as tx:
        return identity.count_capped_profiles(tx, workspace)
