"""Saying what segments there are: for admin keys."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Security
from msgspec import Raw
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.segments import Outcome, Segments
from application.definitions.store import Decision
from domain.core.errors import InvalidRequest
from domain.segments.segment import Definition
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, parameters, reader
from interfaces.service import Service

PATH = "/v1/segments/{id}"

Id = Annotated[str, Field(description="1 to 64 of a-z, 0-9, - and _, such as `big-spenders`")]


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL can be part of no value")
    return text


without_nul = AfterValidator(_without_nul)

Reason = Annotated[
    str,
    Field(max_length=500, description="Kept with the decision for ever: name nobody in it."),
    without_nul,
]
Version = Annotated[
    int | None,
    Field(
        ge=0,
        le=2**63 - 1,
        description="The segment's version that was looked at, 0 of one that is new: if somebody has"
        " decided since, the answer is 409.",
    ),
]
CONDITION: dict[str, Any] = {
    "all": [
        {"event": "Order Completed", "count": {"at_least": 2}, "within": {"last": "30d"}},
        {"attribute": "plan", "op": "eq", "value": "pro"},
    ]
}


class Which(BaseModel):
    """Which segment."""

    id: Id


class Wanted(BaseModel):
    """What a segment shall be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "Big spenders", "condition": CONDITION, "reason": "spring campaign"},
                {"name": "Beta testers", "manual": True},
            ]
        },
    )

    name: str = Field(description="At most 200 characters.")
    description: str = Field("", description="At most 2,000 characters.")
    condition: Any = Field(
        None,
        description="Who is in it.  A fault is answered with its place: `details.path` is a JSON"
        " pointer into the condition.",
    )
    manual: bool = Field(False, description="Instead of a condition: a list kept by hand.")
    reason: Reason = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.condition is not None) == self.manual:
            raise ValueError('give either a condition or "manual": true')
        return self

    @property
    def definition(self) -> Definition:
        """The same in the words of the domain.  Raises InvalidRequest."""
        try:
            text = "" if self.manual else json.dumps(self.condition, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the condition is no JSON: {error}", path="") from None
        return Definition(self.name, self.description, text.encode())


class New(Wanted):
    """What segment to make."""

    id: Id | None = Field(None, description="Left out: made of the name.")


class Changed(Wanted):
    """What a segment shall be from now on."""

    version: Version = None


class Archive(BaseModel):
    """Why a segment goes."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = ""
    version: Version = None


class Segment(BaseModel):
    """A segment as it was decided to be."""

    id: str
    name: str
    description: str
    manual: bool = Field(description="Whether it is a list kept by hand.")
    condition: Any = Field(description="Null of a list kept by hand.")
    archived: bool
    version: int = Field(description="How many decisions were taken about it.")
    changed: bool = Field(description="False: it was so already, and nothing was recorded.")
    position: int = Field(description="Of the decision in the ledger: for `min_position`.")


def deciding(service: Service) -> APIRouter:
    """Return the routes by which segments are defined and archived."""
    segments = Segments(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(allow(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = reader(Nothing, "/v1/segments"), reader(Which, PATH)

    @routes.post(
        "/v1/segments",
        status_code=201,
        summary="Make a segment: of those who meet a condition, or a list kept by hand",
        operation_id="create_segment",
        response_model=Segment,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=body(New) | {"parameters": [idempotency.HEADER]},
    )
    async def create(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, New)
        made = await run_in_threadpool(
            segments.create,
            key_of(request).workspace,
            asked.id,
            asked.definition,
            decision(request, asked.reason),
        )
        return _answered(made, 201 if made.changed else 200)

    @routes.put(
        PATH,
        summary="Change a segment, or make it under this id; members follow by themselves",
        operation_id="define_segment",
        response_model=Segment,
        responses=documented(400, 401, 403, 409, 413, 503),
        openapi_extra=_taking(Changed),
    )
    async def define(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Changed)
        act = partial(segments.define, version=asked.version)
        made = await run_in_threadpool(
            act,
            key_of(request).workspace,
            which.id,
            asked.definition,
            decision(request, asked.reason),
        )
        return _answered(made)

    @routes.delete(
        PATH,
        summary="Archive a segment: nobody is in it from now on, its history stays",
        operation_id="archive_segment",
        response_model=Segment,
        responses=documented(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_taking(Archive),
    )
    async def archive(request: Request) -> Response:
        which, asked = read_which(request), await body_of(request, Archive)
        act = partial(segments.archive, version=asked.version)
        made = await run_in_threadpool(
            act, key_of(request).workspace, which.id, decision(request, asked.reason)
        )
        return _answered(made)

    return routes


def decision(request: Request, reason: str) -> Decision:
    """Return who decides, and why."""
    return Decision(key_of(request).id, reason, idempotency.key_in(request))


def _taking(model: type[BaseModel]) -> dict[str, Any]:
    taken = parameters(Which, PATH)["parameters"]
    return body(model) | {"parameters": [*taken, idempotency.HEADER]}


def _answered(made: Outcome, status: int = 200) -> Response:
    return Response(event_json.encode(shown(made)), status, media_type="application/json")


def shown(made: Outcome) -> dict[str, Any]:
    """Return what a decision came to as answers show it."""
    segment = made.segment
    assert segment.definition is not None
    return {
        "id": segment.id,
        **shown_definition(segment.definition),
        "archived": segment.archived,
        "version": segment.version,
        "changed": made.changed,
        "position": made.position,
    }


def shown_definition(definition: Definition) -> dict[str, Any]:
    """Return a definition as answers show it."""
    condition = definition.condition
    return {
        "name": definition.name,
        "description": definition.description,
        "manual": not condition,
        "condition": Raw(condition) if condition else None,
    }
