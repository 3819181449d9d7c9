"""Key and workspace routes, for admin keys."""

from __future__ import annotations

from fastapi import APIRouter

from interfaces.http.api.ops.schemas import (
    KeyCreate,
    KeyInfo,
    KeyList,
    KeyPath,
    KeyWithSecret,
    Workspace,
    WorkspaceList,
)
from interfaces.http.kit.operation import Operation, operation_routes
from interfaces.service import Service


def key_routes(service: Service) -> APIRouter:
    """Build the routes of `/v1/keys` and `/v1/workspaces`."""
    list_keys = Operation(
        "GET",
        "/v1/keys",
        "list_keys",
        "List keys, including revoked ones",
        answer=KeyList,
        run=lambda key, _, __: _list_keys(service, key.workspace),
    )
    create_key = Operation(
        "POST",
        "/v1/keys",
        "create_key",
        "Create a key; the secret is returned only once",
        status=201,
        body=KeyCreate,
        answer=KeyWithSecret,
        errors=(400, 401, 403, 413, 503),
        run=lambda key, _, payload: _create_key(service, key.workspace, payload),
    )
    revoke_key = Operation(
        "DELETE",
        "/v1/keys/{id}",
        "revoke_key",
        "Revoke a key (takes up to 5 s)",
        status=204,
        params=KeyPath,
        errors=(400, 401, 403, 404, 503),
        run=lambda key, params, _: service.keys.revoke(key.workspace, params.id),
    )
    list_workspaces = Operation(
        "GET",
        "/v1/workspaces",
        "list_workspaces",
        "Get the key's workspace",
        answer=WorkspaceList,
        run=lambda key, _, __: _list_workspaces(service, key.workspace),
    )
    operations = (list_keys, create_key, revoke_key, list_workspaces)
    return operation_routes(service.keys, "keys", operations)


def _create_key(service: Service, workspace: int, payload: KeyCreate) -> KeyWithSecret:
    created = service.keys.create(workspace, payload.kind)
    return KeyWithSecret(id=created.id, kind=created.kind, key=created.text)


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
