"""The workspace's keys, for whoever holds one of kind admin."""

from __future__ import annotations

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.ledger.tables.keys import KeyKind
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed, answered
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.service import Service


class NewKey(BaseModel):
    """What key to make."""

    model_config = ConfigDict(extra="forbid")

    kind: KeyKind = Field(description="write: ingest only. read: queries only. admin: everything.")


class MadeKey(BaseModel):
    """A key that was just made."""

    id: str
    kind: KeyKind
    key: str = Field(description="The key itself, shown this once: only a hash of it is kept.")


class KnownKey(BaseModel):
    """A key as it is known afterwards."""

    id: str
    kind: KeyKind
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None


class KeyList(Listed):
    """The workspace's keys, oldest first."""

    keys: list[KnownKey]


class KeyParams(BaseModel):
    """Which key."""

    id: str = Field(max_length=100)


class KnownWorkspace(BaseModel):
    """A workspace."""

    id: int
    name: str
    created_at: Instant


class WorkspaceList(Listed):
    """The workspaces that the key may see: its own."""

    workspaces: list[KnownWorkspace]


def access(service: Service) -> APIRouter:
    """Return the routes of whoever administers the workspace."""
    routes = APIRouter(
        tags=["access"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing = reader(Nothing, "/v1/keys")
    read_key = reader(KeyParams, "/v1/keys/{id}")

    @routes.get(
        "/v1/keys",
        summary="The workspace's keys, revoked ones too",
        operation_id="get_keys",
        response_model=KeyList,
        responses=documented(400, 401, 403, 503),
    )
    async def listed(request: Request) -> Response:
        read_nothing(request)
        return answered(await run_in_threadpool(_keys, service, key_of(request).workspace))

    @routes.post(
        "/v1/keys",
        status_code=201,
        summary="Make a key; its text is in this answer and never again",
        operation_id="create_key",
        response_model=MadeKey,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(NewKey),
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        wanted = await body_of(request, NewKey)
        made = await run_in_threadpool(service.keys.create, key_of(request).workspace, wanted.kind)
        return answered(MadeKey(id=made.id, kind=made.kind, key=made.text), 201)

    @routes.delete(
        "/v1/keys/{id}",  # noqa: FAST003 - read by `read_key`
        status_code=204,
        summary="Make a key useless within five seconds",
        operation_id="revoke_key",
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(KeyParams, "/v1/keys/{id}"),
    )
    async def revoke(request: Request) -> Response:
        asked = read_key(request)
        await run_in_threadpool(service.keys.revoke, key_of(request).workspace, asked.id)
        return Response(status_code=204)

    @routes.get(
        "/v1/workspaces",
        summary="The key's own workspace",
        operation_id="get_workspaces",
        response_model=WorkspaceList,
        responses=documented(400, 401, 403, 503),
    )
    async def workspaces(request: Request) -> Response:
        read_nothing(request)
        return answered(await run_in_threadpool(_workspaces, service, key_of(request).workspace))

    return routes


def _keys(service: Service, workspace: int) -> KeyList:
    return KeyList(
        keys=[
            KnownKey.model_validate(row, from_attributes=True)
            for row in service.keys.list(workspace)
        ],
        projected_to=service.ledger.heads().get(workspace, 0),
    )


def _workspaces(service: Service, workspace: int) -> WorkspaceList:
    return WorkspaceList(
        workspaces=[
            KnownWorkspace.model_validate(row, from_attributes=True)
            for row in service.workspaces.list()
            if row.id == workspace
        ],
        projected_to=service.ledger.heads().get(workspace, 0),
    )
