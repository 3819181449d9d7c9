"""The workspace's keys, for whoever holds one of kind admin."""

from __future__ import annotations

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.keys import KeyKind
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page, json_response
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service


class KeyCreate(BaseModel):
    """What key to make."""

    model_config = ConfigDict(extra="forbid")

    kind: KeyKind = Field(description="write: ingest only. read: queries only. admin: everything.")


class KeyWithSecret(BaseModel):
    """A key that was just made."""

    id: str
    kind: KeyKind
    key: str = Field(description="The key itself, shown this once: only a hash of it is kept.")


class KeyInfo(BaseModel):
    """A key as it is known afterwards."""

    id: str
    kind: KeyKind
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyList(Page):
    """The workspace's keys, oldest first."""

    keys: list[KeyInfo]


class KeyPath(BaseModel):
    """Which key."""

    id: str = Field(max_length=100)


class Workspace(BaseModel):
    """A workspace."""

    id: int
    name: str
    created_at: Instant


class WorkspaceList(Page):
    """The workspaces that the key may see: its own."""

    workspaces: list[Workspace]


def key_routes(service: Service) -> APIRouter:
    """Return the routes of whoever administers the workspace."""
    routes = APIRouter(
        tags=["access"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing = params_reader(NoParams, "/v1/keys")
    read_key = params_reader(KeyPath, "/v1/keys/{id}")

    @routes.get(
        "/v1/keys",
        summary="The workspace's keys, revoked ones too",
        operation_id="get_keys",
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
        summary="Make a key; its text is in this answer and never again",
        operation_id="create_key",
        response_model=KeyWithSecret,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(KeyCreate),
    )
    async def create_key(request: Request) -> Response:
        read_nothing(request)
        wanted = await parse_body(request, KeyCreate)
        made = await run_in_threadpool(
            service.keys.create, authenticated_key(request).workspace, wanted.kind
        )
        return json_response(KeyWithSecret(id=made.id, kind=made.kind, key=made.text), 201)

    @routes.delete(
        "/v1/keys/{id}",  # noqa: FAST003 - read by `read_key`
        status_code=204,
        summary="Make a key useless within five seconds",
        operation_id="revoke_key",
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(KeyPath, "/v1/keys/{id}"),
    )
    async def revoke_key(request: Request) -> Response:
        asked = read_key(request)
        await run_in_threadpool(service.keys.revoke, authenticated_key(request).workspace, asked.id)
        return Response(status_code=204)

    @routes.get(
        "/v1/workspaces",
        summary="The key's own workspace",
        operation_id="get_workspaces",
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
