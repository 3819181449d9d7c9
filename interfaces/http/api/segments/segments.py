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

from application.definitions.segments import SegmentResult, SegmentService
from application.definitions.store import CommandContext
from domain.core.errors import InvalidRequest
from domain.segments.segment import SegmentVersion
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.service import Service

PATH = "/v1/segments/{id}"

ResourceId = Annotated[
    str, Field(description="1 to 64 of a-z, 0-9, - and _, such as `big-spenders`")
]


def _reject_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL can be part of no value")
    return text


without_nul = AfterValidator(_reject_nul)

CommandReason = Annotated[
    str,
    Field(max_length=500, description="Kept with the decision for ever: name nobody in it."),
    without_nul,
]
ExpectedVersion = Annotated[
    int | None,
    Field(
        ge=0,
        le=2**63 - 1,
        description="The segment's version that was looked at, 0 of one that is new: if somebody has"
        " decided since, the answer is 409.",
    ),
]
EXAMPLE_CONDITION: dict[str, Any] = {
    "all": [
        {"event": "Order Completed", "count": {"at_least": 2}, "within": {"last": "30d"}},
        {"attribute": "plan", "op": "eq", "value": "pro"},
    ]
}


class SegmentPath(BaseModel):
    """Which segment."""

    id: ResourceId


class SegmentBase(BaseModel):
    """What a segment shall be."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Big spenders",
                    "condition": EXAMPLE_CONDITION,
                    "reason": "spring campaign",
                },
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
    reason: CommandReason = ""

    @model_validator(mode="after")
    def _check_exactly_one(self) -> Self:
        if (self.condition is not None) == self.manual:
            raise ValueError('give either a condition or "manual": true')
        return self

    @property
    def definition(self) -> SegmentVersion:
        """The same in the words of the domain.  Raises InvalidRequest."""
        try:
            text = "" if self.manual else json.dumps(self.condition, allow_nan=False)
        except ValueError as error:
            raise InvalidRequest(f"the condition is no JSON: {error}", path="") from None
        return SegmentVersion(self.name, self.description, text.encode())


class SegmentCreate(SegmentBase):
    """What segment to make."""

    id: ResourceId | None = Field(None, description="Left out: made of the name.")


class SegmentReplace(SegmentBase):
    """What a segment shall be from now on."""

    version: ExpectedVersion = None


class ArchiveRequest(BaseModel):
    """Why a segment goes."""

    model_config = ConfigDict(extra="forbid")

    reason: CommandReason = ""
    version: ExpectedVersion = None


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


def segment_routes(service: Service) -> APIRouter:
    """Return the routes by which segments are defined and archived."""
    segments = SegmentService(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_which = (
        params_reader(NoParams, "/v1/segments"),
        params_reader(SegmentPath, PATH),
    )

    @routes.post(
        "/v1/segments",
        status_code=201,
        summary="Make a segment: of those who meet a condition, or a list kept by hand",
        operation_id="create_segment",
        response_model=Segment,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(SegmentCreate) | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def create_segment(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, SegmentCreate)
        made = await run_in_threadpool(
            segments.create,
            authenticated_key(request).workspace,
            asked.id,
            asked.definition,
            command_context(request, asked.reason),
        )
        return _response(made, 201 if made.changed else 200)

    @routes.put(
        PATH,
        summary="Change a segment, or make it under this id; members follow by themselves",
        operation_id="define_segment",
        response_model=Segment,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(SegmentReplace),
    )
    async def define_segment(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, SegmentReplace)
        act = partial(segments.define, version=asked.version)
        made = await run_in_threadpool(
            act,
            authenticated_key(request).workspace,
            which.id,
            asked.definition,
            command_context(request, asked.reason),
        )
        return _response(made)

    @routes.delete(
        PATH,
        summary="Archive a segment: nobody is in it from now on, its history stays",
        operation_id="archive_segment",
        response_model=Segment,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(ArchiveRequest),
    )
    async def archive_segment(request: Request) -> Response:
        which, asked = read_which(request), await parse_body(request, ArchiveRequest)
        act = partial(segments.archive, version=asked.version)
        made = await run_in_threadpool(
            act,
            authenticated_key(request).workspace,
            which.id,
            command_context(request, asked.reason),
        )
        return _response(made)

    return routes


def command_context(request: Request, reason: str) -> CommandContext:
    """Return who decides, and why."""
    return CommandContext(
        authenticated_key(request).id, reason, idempotency.idempotency_key(request)
    )


def _openapi(body_model: type[BaseModel]) -> dict[str, Any]:
    taken = openapi_parameters(SegmentPath, PATH)["parameters"]
    return openapi_body(body_model) | {"parameters": [*taken, idempotency.OPENAPI_PARAMETER]}


def _response(result: SegmentResult, status: int = 200) -> Response:
    return Response(
        event_json.encode_json(segment_json(result)), status, media_type="application/json"
    )


def segment_json(result: SegmentResult) -> dict[str, Any]:
    """Return what a decision came to as answers show it."""
    segment = result.segment
    assert segment.definition is not None
    return {
        "id": segment.id,
        **definition_json(segment.definition),
        "archived": segment.archived,
        "version": segment.version,
        "changed": result.changed,
        "position": result.position,
    }


def definition_json(definition: SegmentVersion) -> dict[str, Any]:
    """Return a definition as answers show it."""
    condition = definition.condition
    return {
        "name": definition.name,
        "description": definition.description,
        "manual": not condition,
        "condition": Raw(condition) if condition else None,
    }
