"""Segment routes: create, replace and archive, for admin keys."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from msgspec import Raw
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.segment_store import SegmentResult
from application.definitions.segments import SegmentService
from domain.segments.segment import SegmentVersion
from interfaces.http.api.segments.schemas import Segment, SegmentCreate, SegmentPath, SegmentReplace
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.command import ArchiveRequest, command_context
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


def segment_routes(service: Service) -> APIRouter:
    """Build the routes that define and archive segments."""
    segments = SegmentService(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "admin"))],
        redirect_slashes=False,
    )
    read_nothing, read_path = (
        params_reader(NoParams, "/v1/segments"),
        params_reader(SegmentPath, PATH),
    )

    @routes.post(
        "/v1/segments",
        status_code=201,
        summary="Create a segment from a condition, or a manual list",
        operation_id="create_segment",
        response_model=Segment,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(SegmentCreate) | {"parameters": [idempotency.OPENAPI_PARAMETER]},
    )
    async def create_segment(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, SegmentCreate)
        result = await run_in_threadpool(
            segments.create,
            authenticated_key(request).workspace,
            payload.id,
            payload.definition,
            command_context(request, payload.reason),
        )
        return _response(result, 201 if result.changed else 200)

    @routes.put(
        PATH,
        summary="Create or replace a segment; members are recomputed automatically",
        operation_id="define_segment",
        response_model=Segment,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(SegmentReplace),
    )
    async def define_segment(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, SegmentReplace)
        command = partial(segments.define, version=payload.version)
        result = await run_in_threadpool(
            command,
            authenticated_key(request).workspace,
            path.id,
            payload.definition,
            command_context(request, payload.reason),
        )
        return _response(result)

    @routes.delete(
        PATH,
        summary="Archive a segment: all members leave; its history is kept",
        operation_id="archive_segment",
        response_model=Segment,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(ArchiveRequest),
    )
    async def archive_segment(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, ArchiveRequest)
        command = partial(segments.archive, version=payload.version)
        result = await run_in_threadpool(
            command,
            authenticated_key(request).workspace,
            path.id,
            command_context(request, payload.reason),
        )
        return _response(result)

    return routes


def _openapi(body_model: type[BaseModel]) -> dict[str, Any]:
    parameters = openapi_parameters(SegmentPath, PATH)["parameters"]
    return openapi_body(body_model) | {"parameters": [*parameters, idempotency.OPENAPI_PARAMETER]}


def _response(result: SegmentResult, status: int = 200) -> Response:
    return Response(
        event_json.encode_json(segment_json(result)), status, media_type="application/json"
    )


def segment_json(result: SegmentResult) -> dict[str, Any]:
    """Return the JSON form of a segment after a change."""
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
    """Return the JSON form of a segment's definition."""
    condition = definition.condition
    return {
        "name": definition.name,
        "description": definition.description,
        "manual": not condition,
        "condition": Raw(condition) if condition else None,
    }
