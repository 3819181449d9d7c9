"""Endpoints that webhooks go to: for admin keys; what there is, for read keys as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.deliveries.endpoints import Wanted
from application.ledger.tables.endpoints import Endpoint
from interfaces.http.api.segments.segments import without_nul
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed, answered
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.service import Service
from projections.kit import cursors

ALL = "/v1/endpoints"
PATH = f"{ALL}/{{id}}"

Text = Annotated[str, without_nul]
T = TypeVar("T")


class Which(BaseModel):
    """Which endpoint."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `crm`")


class EndpointParams(BaseModel):
    """Which page."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500, description="Most rows on a page.")] = 50


class WantedEndpoint(BaseModel):
    """What an endpoint shall be."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"url": "https://example.com/hooks"}]}
    )

    url: Text = Field(
        max_length=2_000,
        description="https, port 443 or 8443, at a public address: that is looked at again each time"
        " that something is sent.",
    )
    description: Text = Field("", max_length=500)
    concurrency: int = Field(4, ge=1, le=4, description="Most deliveries under way at once.")

    @property
    def wanted(self) -> Wanted:
        """The same in the words of the application."""
        return Wanted(self.url, self.description, self.concurrency)


class NewEndpoint(WantedEndpoint):
    """What endpoint to make."""

    id: Text | None = Field(None, max_length=64, description="Left out: one is made up.")


class KnownEndpoint(BaseModel):
    """An endpoint, and how it does."""

    id: str
    url: str
    description: str
    concurrency: int
    created_at: Instant
    disabled_at: Instant | None = Field(description="Since when nothing is sent to it; it waits.")
    disabled_reason: str | None
    failing_since: Instant | None = Field(description="Since when it has taken nothing.")
    failures: int = Field(description="In a row.")
    parked_until: Instant | None = Field(
        description="After too many failures: until when nothing is tried."
    )
    previous_secret_until: Instant | None = Field(
        description="Until when the secret before signs as well, after a rotation."
    )


class MadeEndpoint(KnownEndpoint):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(description="What the receiver verifies signatures with: `whsec_…`")


class EndpointList(Listed):
    """Endpoints, by id."""

    endpoints: list[KnownEndpoint]


def endpoints(service: Service) -> APIRouter:
    """Return the routes of endpoints."""
    kept = service.outgoing.endpoints
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    admin = [Security(allow(service.keys, "admin"))]
    anyone = [Security(allow(service.keys, "read", "admin"))]
    read_nothing, read_page = reader(Nothing, ALL), reader(EndpointParams, ALL)
    read_which = reader(Which, PATH)

    @routes.post(
        ALL,
        status_code=201,
        summary="Make an endpoint; its secret is in the answer, this once",
        operation_id="create_endpoint",
        response_model=MadeEndpoint,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=body(NewEndpoint),
        dependencies=admin,
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, NewEndpoint)
        made = await _done(request, kept.create, asked.id, asked.wanted)
        return answered(_made(*made), 201)

    @routes.get(
        ALL,
        summary="Endpoints, and how each does",
        operation_id="list_endpoints",
        response_model=EndpointList,
        responses=documented(400, 401, 403, 503),
        openapi_extra=parameters(EndpointParams, ALL),
        dependencies=anyone,
    )
    async def listed(request: Request) -> Response:
        asked = read_page(request)
        return answered(await run_in_threadpool(_listed, service, key_of(request).workspace, asked))

    @routes.get(
        PATH,
        summary="One endpoint, and how it does",
        operation_id="get_endpoint",
        response_model=KnownEndpoint,
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(Which, PATH),
        dependencies=anyone,
    )
    async def one(request: Request) -> Response:
        return answered(_shown(await _done(request, kept.get, read_which(request).id)))

    @routes.put(
        PATH,
        summary="Change an endpoint; its secret stays",
        operation_id="change_endpoint",
        response_model=KnownEndpoint,
        responses=documented(400, 401, 403, 404, 413, 503),
        openapi_extra=body(WantedEndpoint) | parameters(Which, PATH),
        dependencies=admin,
    )
    async def change(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, WantedEndpoint)
        return answered(_shown(await _done(request, kept.change, which.id, asked.wanted)))

    @routes.delete(
        PATH,
        status_code=204,
        summary="Remove an endpoint; what waits for it fails",
        operation_id="delete_endpoint",
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(Which, PATH),
        dependencies=admin,
    )
    async def delete(request: Request) -> Response:
        await _done(request, kept.delete, read_which(request).id)
        return Response(status_code=204)

    _add_acts(routes, service, admin)
    return routes


def _add_acts(routes: APIRouter, service: Service, admin: list[Any]) -> None:
    kept = service.outgoing.endpoints
    rotating, enabling = f"{PATH}/rotate", f"{PATH}/enable"
    read_rotate, read_enable = reader(Which, rotating), reader(Which, enabling)

    @routes.post(
        rotating,
        summary="Give it another secret, shown this once; for a day the one before signs as well",
        operation_id="rotate_endpoint",
        response_model=MadeEndpoint,
        responses=documented(400, 401, 403, 404, 409, 503),
        openapi_extra=parameters(Which, rotating),
        dependencies=admin,
    )
    async def rotate(request: Request) -> Response:
        return answered(_made(*await _done(request, kept.rotate, read_rotate(request).id)))

    @routes.post(
        enabling,
        summary="Send to it again, first what has waited meanwhile",
        operation_id="enable_endpoint",
        response_model=KnownEndpoint,
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(Which, enabling),
        dependencies=admin,
    )
    async def enable(request: Request) -> Response:
        return answered(_shown(await _done(request, kept.enable, read_enable(request).id)))


async def _done(request: Request, act: Callable[..., T], *facts: object) -> T:
    return await run_in_threadpool(partial(act, key_of(request).workspace, *facts))


def _listed(service: Service, workspace: int, asked: EndpointParams) -> EndpointList:
    after = "" if asked.cursor is None else cursors.text(asked.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found = service.outgoing.endpoints.list(workspace, after, asked.limit + 1)
    page = found[: asked.limit]
    return EndpointList(
        endpoints=[_shown(it) for it in page],
        next=cursors.after_text(page[-1].id) if len(found) > len(page) else None,
        projected_to=head,
    )


def _shown(it: Endpoint) -> KnownEndpoint:
    return KnownEndpoint.model_validate(it._asdict() | {"previous_secret_until": it.previous_until})


def _made(it: Endpoint, secret: str) -> MadeEndpoint:
    return MadeEndpoint.model_validate(_shown(it).model_dump(mode="python") | {"secret": secret})
