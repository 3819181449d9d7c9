"""Status route: ledger head and read-model progress of the key's workspace."""

from __future__ import annotations

from fastapi import APIRouter

from interfaces.http.api.ops.schemas import (
    ReadModelStatus,
    WorkspaceStatus,
)
from interfaces.http.kit.operation import READERS, Operation, operation_routes
from interfaces.http.projection_health import ProjectionMonitor
from interfaces.service import Service
from projections import identity


def status_routes(service: Service, monitor: ProjectionMonitor) -> APIRouter:
    """Build the route of `/v1/status`."""
    get_status = Operation(
        "GET",
        "/v1/status",
        "get_status",
        "Get ledger head and read-model progress",
        keys=READERS,
        answer=WorkspaceStatus,
        run=lambda key, _params, _body: _workspace_status(service, monitor, key.workspace),
    )
    return operation_routes(service.keys, "operations", [get_status])


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
