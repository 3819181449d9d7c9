"""What a condition would come to, before anybody makes a segment of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from domain import conditions
from domain.conditions import Condition
from domain.core.time import format_utc, to_micros
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.http.query_routes import query_reader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.kit.shown_profile import ProfileIdentifier
from projections.runtime.checkpoint import common_position

PATH = "/v1/segments/preview"


class SegmentPreviewRequest(BaseModel):
    """Which condition, and when."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"condition": {"event": "purchase", "within": {"last": "30d"}}}]
        },
    )

    condition: Any = Field(description="As in a segment.")
    as_of: str | None = Field(
        None,
        max_length=100,
        description="The clock: nothing that occurred later counts (a date or time without offset is"
        " UTC). Left out: now.",
    )


class SegmentPreviewProfile(BaseModel):
    """Somebody who meets the condition."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]


class ConditionCount(BaseModel):
    """A part of the condition."""

    path: str = Field(description="JSON pointer into the condition, such as `/all/0`.")
    count: int = Field(description="How many it holds of by itself.")


class SegmentPreview(BaseModel):
    """What it comes to."""

    count: int
    sample: list[SegmentPreviewProfile]
    conditions: list[ConditionCount]
    as_of: datetime
    projected_to: int


def segment_preview_routes(service: Service) -> APIRouter:
    """Return the route that tells what a condition comes to."""
    turns = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["segments"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Count who meets a condition, and each of its parts, now or at any instant",
        operation_id="preview_segment",
        response_model=SegmentPreview,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(SegmentPreviewRequest),
    )
    async def preview_segment(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, SegmentPreviewRequest)
        condition = conditions.parse_condition(asked.condition, allow_references=True)
        clock = datetime.now(UTC)
        if asked.as_of is not None:
            clock = instants.parse_instant(asked.as_of, UTC, "as_of")
        found = await turns.run(
            _preview_condition, service, authenticated_key(request).workspace, condition, clock
        )
        return Response(found, media_type="application/json")

    return routes


def _preview_condition(
    service: Service, workspace: int, condition: Condition, clock: datetime
) -> bytes:
    with service.engine.connect() as tx:
        position = common_position(tx, workspace, segments.projection, identity)
        found = segments.preview_condition(tx, workspace, condition, to_micros(clock), position)
        reader = query_reader(service, tx, workspace, position)
        names = reader.identifiers(reader.profiles(found.sample).values())
    answer = {
        "count": found.profiles,
        "sample": [
            {"profile_id": it, "identifiers": [one._asdict() for one in names.get(it, ())]}
            for it in found.sample
        ],
        "conditions": [{"path": path, "count": of} for path, of in found.by_path.items()],
        "as_of": format_utc(clock),
        "projected_to": position,
    }
    return msgspec.json.encode(answer)
