"""Segment preview: matching profiles of a condition, without defining a segment."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from domain import conditions
from domain.conditions import Condition
from domain.core.time import format_utc, to_micros
from interfaces.http.api.segments.schemas import SegmentPreview, SegmentPreviewRequest
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.runtime.checkpoint import common_position

PATH = "/v1/segments/preview"


def segment_preview_routes(service: Service) -> APIRouter:
    """Build the route of `/v1/segments/preview`."""
    limit = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["segments"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Preview a condition: count matching profiles, in total and per part",
        operation_id="preview_segment",
        response_model=SegmentPreview,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(SegmentPreviewRequest),
    )
    async def preview_segment(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, SegmentPreviewRequest)
        condition = conditions.parse_condition(payload.condition, allow_references=True)
        clock = datetime.now(UTC)
        if payload.as_of is not None:
            clock = instants.parse_instant(payload.as_of, UTC, "as_of")
        body = await limit.run(
            _preview_condition, service, authenticated_key(request).workspace, condition, clock
        )
        return Response(body, media_type="application/json")

    return routes


def _preview_condition(
    service: Service, workspace: int, condition: Condition, clock: datetime
) -> bytes:
    with service.engine.connect() as tx:
        position = common_position(tx, workspace, segments.projection, identity)
        preview = segments.preview_condition(tx, workspace, condition, to_micros(clock), position)
        reader = QueryReader(service.ledger, tx, workspace, position)
        identifiers = reader.identifiers(reader.profiles(preview.sample).values())
    answer = {
        "count": preview.profiles,
        "sample": [
            {
                "profile_id": profile_id,
                "identifiers": [i._asdict() for i in identifiers.get(profile_id, ())],
            }
            for profile_id in preview.sample
        ],
        "conditions": [{"path": path, "count": count} for path, count in preview.by_path.items()],
        "as_of": format_utc(clock),
        "projected_to": position,
    }
    return msgspec.json.encode(answer)
