"""Funnels that are kept under a name: deciding about them, and what they come to."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import msgspec
from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.saved_funnels import SavedFunnelResult, SavedFunnelService
from domain.core.errors import InvalidRequest
from domain.funnels.saved_funnel import SavedFunnelVersion
from interfaces.http.api.funnels.funnel_queries import (
    EXAMPLE_FUNNEL,
    FunnelConversion,
    answer_from_snapshot,
    count_funnel,
)
from interfaces.http.api.segments.segments import (
    ArchiveRequest,
    CommandReason,
    ExpectedVersion,
    command_context,
)
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.http.query_routes import MinPosition, resolve_min_position, wait_for_position
from interfaces.service import Service

PATH = "/v1/funnels/{id}"
RESULT = f"{PATH}/result"


class FunnelPath(BaseModel):
    """Which funnel."""

    id: str = Field(description="1 to 64 of a-z, 0-9, - and _, such as `checkout`")


class SavedFunnelResultParams(FunnelPath):
    """Which funnel's result."""

    min_position: MinPosition = None


class SavedFunnelBase(BaseModel):
    """What a funnel shall be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "Checkout", "funnel": EXAMPLE_FUNNEL}]},
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    funnel: Any = Field(description="As in `POST /v1/funnels/query`.")
    reason: CommandReason = ""

    @property
    def definition(self) -> SavedFunnelVersion:
        """The same in the words of the domain.  Raises InvalidRequest."""
        try:
            text = json.dumps(self.funnel, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the funnel is no JSON: {error}", path="") from None
        return SavedFunnelVersion(self.name, self.description, text.encode())


class SavedFunnelCreate(SavedFunnelBase):
    """What funnel to keep."""

    id: str | None = Field(None, description="Left out: made of the name.")


class SavedFunnelReplace(SavedFunnelBase):
    """What a funnel shall be from now on."""

    version: ExpectedVersion = None


class SavedFunnelWriteResult(BaseModel):
    """A funnel as it was decided to be."""

    id: str
    name: str
    description: str
    funnel: Any
    archived: bool
    version: int = Field(description="How many decisions were taken about it.")
    changed: bool = Field(description="False: it was so already, and nothing was recorded.")
    position: int = Field(description="Of the decision in the ledger: for `min_position`.")


def saved_funnel_routes(service: Service) -> APIRouter:
    """Return the routes by which funnels are kept, changed and archived."""
    funnels = SavedFunnelService(service.ledger)
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = (
        params_reader(NoParams, "/v1/funnels"),
        params_reader(FunnelPath, PATH),
    )

    @routes.post(
        "/v1/funnels",
        status_code=201,
        summary="Keep a funnel under a name",
        operation_id="create_funnel",
        response_model=SavedFunnelWriteResult,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(SavedFunnelCreate)
        | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def create_funnel(request: Request) -> Response:
        read_nothing(request)
        asked, workspace = (
            await parse_body(request, SavedFunnelCreate),
            authenticated_key(request).workspace,
        )
        by = command_context(request, asked.reason)
        made = await run_in_threadpool(funnels.create, workspace, asked.id, asked.definition, by)
        return _response(made, 201 if made.changed else 200)

    @routes.put(
        PATH,
        summary="Change a saved funnel, or keep it under this id",
        operation_id="define_funnel",
        response_model=SavedFunnelWriteResult,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(SavedFunnelReplace),
    )
    async def define_funnel(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, SavedFunnelReplace)
        act = partial(funnels.define, version=asked.version)
        by, workspace = command_context(request, asked.reason), authenticated_key(request).workspace
        return _response(await run_in_threadpool(act, workspace, which.id, asked.definition, by))

    @routes.delete(
        PATH,
        summary="Archive a saved funnel: what it was stays known",
        operation_id="archive_funnel",
        response_model=SavedFunnelWriteResult,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(ArchiveRequest),
    )
    async def archive_funnel(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, ArchiveRequest)
        act = partial(funnels.archive, version=asked.version)
        by, workspace = command_context(request, asked.reason), authenticated_key(request).workspace
        return _response(await run_in_threadpool(act, workspace, which.id, by))

    return routes


def saved_funnel_result_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Return the route that tells what a saved funnel comes to."""
    funnels, turns = SavedFunnelService(service.ledger), ConcurrencyLimit()
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_which = params_reader(SavedFunnelResultParams, RESULT)

    @routes.get(
        RESULT,
        summary="Count who took each step of a saved funnel, as it was last decided, by now",
        operation_id="get_funnel_result",
        response_model=FunnelConversion,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SavedFunnelResultParams, RESULT),
    )
    async def get_funnel_result(request: Request) -> Response:
        which, workspace = read_which(request), authenticated_key(request).workspace
        found = await run_in_threadpool(funnels.funnel, workspace, which.id)
        answer = partial(count_funnel, found.current.funnel)
        position = await resolve_min_position(service, workspace, which.min_position)
        asked = (service, workspace, position, answer)
        return await wait_for_position(position, wait_seconds, turns, answer_from_snapshot, *asked)

    return routes


def _openapi(body_model: type[BaseModel]) -> dict[str, Any]:
    taken = openapi_parameters(FunnelPath, PATH)["parameters"]
    return openapi_body(body_model) | {"parameters": [*taken, idempotency.OPENAPI_PARAMETER]}


def _response(result: SavedFunnelResult, status: int = 200) -> Response:
    funnel = result.funnel
    assert funnel.definition is not None
    answer = {
        "id": funnel.id,
        "name": funnel.definition.name,
        "description": funnel.definition.description,
        "funnel": msgspec.Raw(funnel.definition.document),
        "archived": funnel.archived,
        "version": funnel.version,
        "changed": result.changed,
        "position": result.position,
    }
    return Response(event_json.encode_json(answer), status, media_type="application/json")
