"""Computed attributes as the API serves them, and the preview of one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.computed_attributes import ComputedAttributeService
from domain.conditions import ReferencedValue
from domain.core.time import format_utc, to_micros
from domain.definitions.definition import DefinitionVersion
from domain.segments.computed_attribute import parse_computation
from interfaces.http.api.segments.computed_attribute_schemas import (
    ComputedAttribute,
    ComputedAttributeCreate,
    ComputedAttributePath,
    ComputedAttributePreview,
    ComputedAttributePreviewRequest,
    ComputedAttributeReplace,
    ComputedAttributeRevision,
    ComputedAttributeRevisionList,
)
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.definition_routes import Resource
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.runtime.checkpoint import common_position

PREVIEW_PATH = "/v1/computed-attributes/preview"


def _definition_json(definition: DefinitionVersion) -> dict[str, Any]:
    return {
        "name": definition.name,
        "description": definition.description,
        **json.loads(definition.document),
    }


COMPUTED_ATTRIBUTES = Resource(
    collection="/v1/computed-attributes",
    noun="computed_attribute",
    tag="computed attributes",
    commands=lambda service: ComputedAttributeService(service.ledger),
    path_params=ComputedAttributePath,
    create=ComputedAttributeCreate,
    replace=ComputedAttributeReplace,
    answer=ComputedAttribute,
    archived=ComputedAttribute,
    revision=ComputedAttributeRevision,
    revisions=ComputedAttributeRevisionList,
    create_summary="Create a computed attribute: a value over events, or a score",
    replace_summary="Create or replace a computed attribute; dependent segments are recomputed",
    archive_summary="Archive a computed attribute that no segment uses",
    history_summary="List a computed attribute's definitions with actor, time and reason",
    definition_json=_definition_json,
)


def computed_attribute_preview_routes(service: Service) -> APIRouter:
    """Build the route that previews a computed attribute."""
    limit = ConcurrencyLimit()
    routes = APIRouter(tags=["computed attributes"], redirect_slashes=False)
    read_nothing = params_reader(NoParams, PREVIEW_PATH)

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

    return routes


def _preview_value(
    service: Service, workspace: int, value: ReferencedValue, clock: datetime
) -> dict[str, Any]:
    with service.engine.connect() as tx:
        position = common_position(tx, workspace, segments.projection, identity)
        preview = segments.preview_computed_value(tx, workspace, value, to_micros(clock), position)
        reader = QueryReader(service.ledger, tx, workspace, position)
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
