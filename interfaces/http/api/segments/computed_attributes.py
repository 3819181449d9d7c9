"""Computed attribute routes: commands for admin keys, preview for read keys."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.computed_attributes import (
    ComputedAttributeResult,
    ComputedAttributeService,
)
from domain.conditions import ReferencedValue
from domain.core.time import format_utc, to_micros
from domain.segments.computed_attribute import parse_computation
from interfaces.http.api.segments.computed_attribute_schemas import (
    ComputedAttribute,
    ComputedAttributeCreate,
    ComputedAttributePath,
    ComputedAttributePreview,
    ComputedAttributePreviewRequest,
    ComputedAttributeReplace,
)
from interfaces.http.kit import event_json, idempotency
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.command import ArchiveRequest, command_context
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import (
    NoParams,
    openapi_body,
    openapi_parameters,
    params_reader,
    parse_body,
)
from interfaces.http.query_routes import query_reader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.runtime.checkpoint import common_position

COLLECTION = "/v1/computed-attributes"
PATH, PREVIEW_PATH = f"{COLLECTION}/{{id}}", f"{COLLECTION}/preview"


def computed_attribute_routes(service: Service) -> APIRouter:
    """Build the routes that preview, define and archive computed attributes."""
    attributes, limit = ComputedAttributeService(service.ledger), ConcurrencyLimit()
    admin = [Security(require_key(service.keys, "admin"))]
    routes = APIRouter(tags=["computed attributes"], redirect_slashes=False)
    read_nothing, read_path = (
        params_reader(NoParams, COLLECTION),
        params_reader(ComputedAttributePath, PATH),
    )

    @routes.post(
        COLLECTION,
        status_code=201,
        summary="Create a computed attribute: a value over events, or a score",
        operation_id="create_computed_attribute",
        response_model=ComputedAttribute,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=openapi_body(ComputedAttributeCreate)
        | {"parameters": [idempotency.OPENAPI_PARAMETER]},
        dependencies=admin,
    )
    async def create_computed_attribute(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, ComputedAttributeCreate)
        command = partial(
            attributes.create, authenticated_key(request).workspace, payload.id, payload.definition
        )
        result = await run_in_threadpool(command, command_context(request, payload.reason))
        return _response(result, 201 if result.changed else 200)

    @routes.post(
        PREVIEW_PATH,
        summary="Preview a computed attribute, now or as of an instant",
        operation_id="preview_computed_attribute",
        response_model=ComputedAttributePreview,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(ComputedAttributePreviewRequest),
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
    )
    async def preview_computed_attribute(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, ComputedAttributePreviewRequest)
        clock = datetime.now(UTC)
        if payload.as_of is not None:
            clock = instants.parse_instant(payload.as_of, UTC, "as_of")
        value = parse_computation(payload.computation)
        preview = await limit.run(
            _preview_value, service, authenticated_key(request).workspace, value, clock
        )
        return Response(event_json.encode_json(preview), media_type="application/json")

    @routes.put(
        PATH,
        summary="Create or replace a computed attribute; dependent segments are recomputed",
        operation_id="define_computed_attribute",
        response_model=ComputedAttribute,
        responses=error_responses(400, 401, 403, 409, 413, 503),
        openapi_extra=_openapi(ComputedAttributeReplace),
        dependencies=admin,
    )
    async def define_computed_attribute(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, ComputedAttributeReplace)
        command = partial(attributes.define, version=payload.version)
        workspace, context = (
            authenticated_key(request).workspace,
            command_context(request, payload.reason),
        )
        return _response(
            await run_in_threadpool(command, workspace, path.id, payload.definition, context)
        )

    @routes.delete(
        PATH,
        summary="Archive a computed attribute that no segment uses",
        operation_id="archive_computed_attribute",
        response_model=ComputedAttribute,
        responses=error_responses(400, 401, 403, 404, 409, 413, 503),
        openapi_extra=_openapi(ArchiveRequest),
        dependencies=admin,
    )
    async def archive_computed_attribute(request: Request) -> Response:
        path, payload = read_path(request), await parse_body(request, ArchiveRequest)
        command = partial(attributes.archive, version=payload.version)
        workspace, context = (
            authenticated_key(request).workspace,
            command_context(request, payload.reason),
        )
        return _response(await run_in_threadpool(command, workspace, path.id, context))

    return routes


def _openapi(body_model: type[BaseModel]) -> dict[str, Any]:
    parameters = openapi_parameters(ComputedAttributePath, PATH)["parameters"]
    return openapi_body(body_model) | {"parameters": [*parameters, idempotency.OPENAPI_PARAMETER]}


def _response(result: ComputedAttributeResult, status: int = 200) -> Response:
    definition = result.attribute.definition
    assert definition is not None
    body = {
        "id": result.attribute.id,
        "name": definition.name,
        "description": definition.description,
        **json.loads(definition.computation),
        "archived": result.attribute.archived,
        "version": result.attribute.version,
        "changed": result.changed,
        "position": result.position,
    }
    return Response(event_json.encode_json(body), status, media_type="application/json")


def _preview_value(
    service: Service, workspace: int, value: ReferencedValue, clock: datetime
) -> dict[str, Any]:
    with service.engine.connect() as tx:
        position = common_position(tx, workspace, segments.projection, identity)
        preview = segments.preview_computed_value(tx, workspace, value, to_micros(clock), position)
        reader = query_reader(service, tx, workspace, position)
        identifiers = reader.identifiers(reader.profiles(preview.sample).values())
    return {
        "count": preview.profiles,
        "sample": [
            {
                "profile_id": profile_id,
                "identifiers": [i._asdict() for i in identifiers.get(profile_id, ())],
                "value": value,
            }
            for profile_id, value in preview.sample.items()
        ],
        "as_of": format_utc(clock),
        "projected_to": position,
    }
