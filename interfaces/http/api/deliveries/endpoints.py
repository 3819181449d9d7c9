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

from application.deliveries.endpoints import EndpointDefinition
from application.ledger.tables.endpoints import EndpointRow
from interfaces.http.api.segments.segments import without_nul
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
from projections.kit import cursors

COLLECTION = "/v1/endpoints"
PATH = f"{COLLECTION}/{{id}}"

NulFreeText = Annotated[str, without_nul]
T = TypeVar("T")


class EndpointPath(BaseModel):
    """Which endpoint."""

    id: str = Field(max_length=64, description="1 to 64 of a-z, 0-9, - and _, such as `crm`")


class EndpointListParams(BaseModel):
    """Which page."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500, description="Most rows on a page.")] = 50


class EndpointUpdate(BaseModel):
    """What an endpoint shall be."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"url": "https://example.com/hooks"}]}
    )

    url: NulFreeText = Field(
        max_length=2_000,
        description="https, port 443 or 8443, at a public address: that is looked at again each time"
        " that something is sent.",
    )
    description: NulFreeText = Field("", max_length=500)
    concurrency: int = Field(4, ge=1, le=4, description="Most deliveries under way at once.")

    @property
    def definition(self) -> EndpointDefinition:
        """The same in the words of the application."""
        return EndpointDefinition(self.url, self.description, self.concurrency)


class EndpointCreate(EndpointUpdate):
    """What endpoint to make."""

    id: NulFreeText | None = Field(None, max_length=64, description="Left out: one is made up.")


class Endpoint(BaseModel):
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


class EndpointWithSecret(Endpoint):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(description="What the receiver verifies signatures with: `whsec_…`")


class EndpointList(Page):
    """Endpoints, by id."""

    endpoints: list[Endpoint]


def endpoint_routes(service: Service) -> APIRouter:
    """Return the routes of endpoints."""
    kept = service.deliveries.endpoints
    routes = APIRouter(tags=["deliveries"], redirect_slashes=False)
    admin = [Security(require_key(service.keys, "admin"))]
    anyone = [Security(require_key(service.keys, "read", "admin"))]
    read_nothing, read_page = (
        params_reader(NoParams, COLLECTION),
        params_reader(EndpointListParams, COLLECTION),
    )
    read_which = params_reader(EndpointPath, PATH)

    @routes.post(
        COLLECTION,
        status_code=201,
        summary="Make an endpoint; its secret is in the answer, this once",
        operation_id="create_endpoint",
        response_model=EndpointWithSecret,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(EndpointCreate),
        dependencies=admin,
    )
    async def create_endpoint(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, EndpointCreate)
        made = await _run_command(request, kept.create, asked.id, asked.definition)
        return json_response(_with_secret(*made), 201)

    @routes.get(
        COLLECTION,
        summary="Endpoints, and how each does",
        operation_id="list_endpoints",
        response_model=EndpointList,
        responses=error_responses(400, 401, 403, 503),
        openapi_extra=openapi_parameters(EndpointListParams, COLLECTION),
        dependencies=anyone,
    )
    async def list_endpoints(request: Request) -> Response:
        asked = read_page(request)
        return json_response(
            await run_in_threadpool(
                _list_endpoints, service, authenticated_key(request).workspace, asked
            )
        )

    @routes.get(
        PATH,
        summary="One endpoint, and how it does",
        operation_id="get_endpoint",
        response_model=Endpoint,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(EndpointPath, PATH),
        dependencies=anyone,
    )
    async def get_endpoint(request: Request) -> Response:
        return json_response(
            _to_endpoint(await _run_command(request, kept.get, read_which(request).id))
        )

    @routes.put(
        PATH,
        summary="Change an endpoint; its secret stays",
        operation_id="change_endpoint",
        response_model=Endpoint,
        responses=error_responses(400, 401, 403, 404, 413, 503),
        openapi_extra=openapi_body(EndpointUpdate) | openapi_parameters(EndpointPath, PATH),
        dependencies=admin,
    )
    async def update_endpoint(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, EndpointUpdate)
        return json_response(
            _to_endpoint(await _run_command(request, kept.update, which.id, asked.definition))
        )

    @routes.delete(
        PATH,
        status_code=204,
        summary="Remove an endpoint; what waits for it fails",
        operation_id="delete_endpoint",
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(EndpointPath, PATH),
        dependencies=admin,
    )
    async def delete_endpoint(request: Request) -> Response:
        await _run_command(request, kept.delete, read_which(request).id)
        return Response(status_code=204)

    _add_action_routes(routes, service, admin)
    return routes


def _add_action_routes(routes: APIRouter, service: Service, admin: list[Any]) -> None:
    kept = service.deliveries.endpoints
    rotating, enabling = f"{PATH}/rotate", f"{PATH}/enable"
    read_rotate, read_enable = (
        params_reader(EndpointPath, rotating),
        params_reader(EndpointPath, enabling),
    )

    @routes.post(
        rotating,
        summary="Give it another secret, shown this once; for a day the one before signs as well",
        operation_id="rotate_endpoint",
        response_model=EndpointWithSecret,
        responses=error_responses(400, 401, 403, 404, 409, 503),
        openapi_extra=openapi_parameters(EndpointPath, rotating),
        dependencies=admin,
    )
    async def rotate_endpoint_secret(request: Request) -> Response:
        return json_response(
            _with_secret(*await _run_command(request, kept.rotate_secret, read_rotate(request).id))
        )

    @routes.post(
        enabling,
        summary="Send to it again, first what has waited meanwhile",
        operation_id="enable_endpoint",
        response_model=Endpoint,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(EndpointPath, enabling),
        dependencies=admin,
    )
    async def enable_endpoint(request: Request) -> Response:
        return json_response(
            _to_endpoint(await _run_command(request, kept.enable, read_enable(request).id))
        )


async def _run_command(request: Request, command: Callable[..., T], *args: object) -> T:
    return await run_in_threadpool(partial(command, authenticated_key(request).workspace, *args))


def _list_endpoints(service: Service, workspace: int, params: EndpointListParams) -> EndpointList:
    after = "" if params.cursor is None else cursors.decode_text(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found = service.deliveries.endpoints.list(workspace, after, params.limit + 1)
    page = found[: params.limit]
    return EndpointList(
        endpoints=[_to_endpoint(it) for it in page],
        next=cursors.encode_text(page[-1].id) if len(found) > len(page) else None,
        projected_to=head,
    )


def _to_endpoint(row: EndpointRow) -> Endpoint:
    return Endpoint.model_validate(row._asdict() | {"previous_secret_until": row.previous_until})


def _with_secret(row: EndpointRow, secret: str) -> EndpointWithSecret:
    return EndpointWithSecret.model_validate(
        _to_endpoint(row).model_dump(mode="python") | {"secret": secret}
    )
