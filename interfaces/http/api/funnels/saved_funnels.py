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

from application.definitions.funnels import Funnels, Outcome
from domain.core.errors import InvalidRequest
from domain.funnels.saved_funnel import Definition
from interfaces.http.api.funnels.funnels import EXAMPLE, Counted, answered, counted
from interfaces.http.api.segments.segments import Archive, Reason, Version, decision
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.http.queries import MinPosition, when_reached
from interfaces.service import Service

PATH = "/v1/funnels/{id}"
RESULT = f"{PATH}/result"


class Which(BaseModel):
    """Which funnel."""

    id: str = Field(description="1 to 64 of a-z, 0-9, - and _, such as `checkout`")


class WhichResult(Which):
    """Which funnel's result."""

    min_position: MinPosition = None


class Wanted(BaseModel):
    """What a funnel shall be."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "Checkout", "funnel": EXAMPLE}]}
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    funnel: Any = Field(description="As in `POST /v1/funnels/query`.")
    reason: Reason = ""

    @property
    def definition(self) -> Definition:
        """The same in the words of the domain.  Raises InvalidRequest."""
        try:
            text = json.dumps(self.funnel, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the funnel is no JSON: {error}", path="") from None
        return Definition(self.name, self.description, text.encode())


class New(Wanted):
    """What funnel to keep."""

    id: str | None = Field(None, description="Left out: made of the name.")


class Changed(Wanted):
    """What a funnel shall be from now on."""

    version: Version = None


class Saved(BaseModel):
    """A funnel as it was decided to be."""

    id: str
    name: str
    description: str
    funnel: Any
    archived: bool
    version: int = Field(description="How many decisions were taken about it.")
    changed: bool = Field(description="False: it was so already, and nothing was recorded.")
    position: int = Field(description="Of the decision in the ledger: for `min_position`.")


def deciding(service: Service) -> APIRouter:
    """Return the routes by which funnels are kept, changed and archived."""
    funnels = Funnels(service.ledger)
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = reader(Nothing, "/v1/funnels"), reader(Which, PATH)

    @routes.post(
        "/v1/funnels",
        status_code=201,
        summary="Keep a funnel under a name",
        operation_id="create_funnel",
        response_model=Saved,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=body(New) | {"parameters": [idempotency.HEADER]},
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        asked, workspace = await body_of(request, New), key_of(request).workspace
        by = decision(request, asked.reason)
        made = await run_in_threadpool(funnels.create, workspace, asked.id, asked.definition, by)
        return _answered(made, 201 if made.changed else 200)

    @routes.put(
        PATH,
        summary="Change a saved funnel, or keep it under this id",
        operation_id="define_funnel",
        response_model=Saved,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=_taking(Changed),
    )
    async def define(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Changed)
        act = partial(funnels.define, version=asked.version)
        by, workspace = decision(request, asked.reason), key_of(request).workspace
        return _answered(await run_in_threadpool(act, workspace, which.id, asked.definition, by))

    @routes.delete(
        PATH,
        summary="Archive a saved funnel: what it was stays known",
        operation_id="archive_funnel",
        response_model=Saved,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_taking(Archive),
    )
    async def archive(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Archive)
        act = partial(funnels.archive, version=asked.version)
        by, workspace = decision(request, asked.reason), key_of(request).workspace
        return _answered(await run_in_threadpool(act, workspace, which.id, by))

    return routes


def results(service: Service, *, wait_seconds: float) -> APIRouter:
    """Return the route that tells what a saved funnel comes to."""
    funnels, turns = Funnels(service.ledger), Turns()
    routes = APIRouter(
        tags=["funnels"],
        dependencies=[Security(allow(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_which = reader(WhichResult, RESULT)

    @routes.get(
        RESULT,
        summary="Count who took each step of a saved funnel, as it was last decided, by now",
        operation_id="get_funnel_result",
        response_model=Counted,
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(WhichResult, RESULT),
    )
    async def result(request: Request) -> Response:
        which, workspace = read_which(request), key_of(request).workspace
        found = await run_in_threadpool(funnels.funnel, workspace, which.id)
        answer = partial(counted, found.current.funnel)
        asked = (service, workspace, which.min_position, answer)
        return await when_reached(which.min_position, wait_seconds, turns, answered, *asked)

    return routes


def _taking(model: type[BaseModel]) -> dict[str, Any]:
    taken = parameters(Which, PATH)["parameters"]
    return body(model) | {"parameters": [*taken, idempotency.HEADER]}


def _answered(made: Outcome, status: int = 200) -> Response:
    funnel = made.funnel
    assert funnel.definition is not None
    answer = {
        "id": funnel.id,
        "name": funnel.definition.name,
        "description": funnel.definition.description,
        "funnel": msgspec.Raw(funnel.definition.document),
        "archived": funnel.archived,
        "version": funnel.version,
        "changed": made.changed,
        "position": made.position,
    }
    return Response(event_json.encode(answer), status, media_type="application/json")
