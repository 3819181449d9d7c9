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
from domain.core.time import to_micros
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, reader
from interfaces.http.queries import reader_of
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.kit.shown_profile import ShownIdentifier
from projections.runtime.checkpoint import reached

PATH = "/v1/segments/preview"


class Asked(BaseModel):
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


class Somebody(BaseModel):
    """Somebody who meets the condition."""

    profile_id: UUID
    identifiers: list[ShownIdentifier]


class Part(BaseModel):
    """A part of the condition."""

    path: str = Field(description="JSON pointer into the condition, such as `/all/0`.")
    count: int = Field(description="How many it holds of by itself.")


class Previewed(BaseModel):
    """What it comes to."""

    count: int
    sample: list[Somebody]
    conditions: list[Part]
    as_of: datetime
    projected_to: int


def previewing(service: Service) -> APIRouter:
    """Return the route that tells what a condition comes to."""
    turns = Turns()
    read_nothing = reader(Nothing, PATH)
    routes = APIRouter(
        tags=["segments"], dependencies=[Security(allow(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Count who meets a condition, and each of its parts, now or at any instant",
        operation_id="preview_segment",
        response_model=Previewed,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(Asked),
    )
    async def preview(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Asked)
        condition = conditions.read(asked.condition, by_name=True)
        clock = datetime.now(UTC)
        if asked.as_of is not None:
            clock = instants.instant(asked.as_of, UTC, "as_of")
        found = await turns.take(_preview, service, key_of(request).workspace, condition, clock)
        return Response(found, media_type="application/json")

    return routes


def _preview(service: Service, workspace: int, condition: Condition, clock: datetime) -> bytes:
    with service.engine.connect() as tx:
        position = reached(tx, workspace, segments.projection, identity)
        found = segments.preview(tx, workspace, condition, to_micros(clock), position)
        reader = reader_of(service, tx, workspace, position)
        names = reader.names(reader.persons(found.sample).values())
    answer = {
        "count": found.people,
        "sample": [
            {"profile_id": it, "identifiers": [one._asdict() for one in names.get(it, ())]}
            for it in found.sample
        ],
        "conditions": [{"path": path, "count": of} for path, of in found.conditions.items()],
        "as_of": instants.shown(clock),
        "projected_to": position,
    }
    return msgspec.json.encode(answer)
