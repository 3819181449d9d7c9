"""What was decided about a segment, from the ledger: for all who may ask."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Security
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.segments import Segments, decided
from domain.core.errors import NotFound
from domain.events.events import SegmentDefined
from domain.events.recorded import Recorded
from domain.segments.segment import Definition
from interfaces.http.api.segments.segments import PATH, Which, shown_definition
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed
from interfaces.http.kit.params import parameters, reader
from interfaces.service import Service
from projections.kit import cursors
from projections.kit.instants import shown

DEFINITIONS = f"{PATH}/definitions"


class DefinitionsParams(Which):
    """Whose definitions, and which page."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500, description="Most definitions on a page.")] = 50


class Said(BaseModel):
    """What was decided about a segment once."""

    version: int
    position: int
    change: Literal["defined", "archived"]
    decided_at: Instant
    recorded_at: Instant
    actor: str = Field(description="The id of the key that decided.")
    reason: str
    name: str | None = Field(description="Null when it was archived, as what follows.")
    description: str | None
    manual: bool | None
    condition: Any


class Definitions(Listed):
    """What was decided about a segment, oldest first."""

    definitions: list[Said]


def definitions(service: Service) -> APIRouter:
    """Return the route that tells what was decided about a segment."""
    segments = Segments(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(allow(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_definitions = reader(DefinitionsParams, DEFINITIONS)

    @routes.get(
        DEFINITIONS,
        summary="What was decided about a segment: each definition with who, when and why",
        operation_id="get_segment_definitions",
        response_model=Definitions,
        responses=documented(400, 401, 403, 404, 503),
        openapi_extra=parameters(DefinitionsParams, DEFINITIONS),
    )
    async def listed(request: Request) -> Response:
        asked, workspace = read_definitions(request), key_of(request).workspace
        return await run_in_threadpool(_definitions, service, segments, workspace, asked)

    return routes


def _definitions(
    service: Service, segments: Segments, workspace: int, asked: DefinitionsParams
) -> Response:
    after = 0 if asked.cursor is None else cursors.position(asked.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found = segments.history(workspace, asked.id, after=after, limit=asked.limit + 1)
    if not (found or after):
        raise NotFound(f"there is no segment {asked.id!r}", segment=asked.id)
    page = found[: asked.limit]
    answer = {
        "definitions": [_said(it) for it in page],
        "next": cursors.after_position(page[-1].position) if len(found) > len(page) else None,
        "projected_to": head,
    }
    return Response(event_json.encode(answer), media_type="application/json")


def _said(one: Recorded) -> dict[str, Any]:
    event = decided(one)
    said: dict[str, Any] = dict.fromkeys(("name", "description", "manual", "condition"))
    if isinstance(event, SegmentDefined):
        said = shown_definition(Definition(event.name, event.description, event.condition))
    return {
        "version": one.version,
        "position": one.position,
        "change": "defined" if isinstance(event, SegmentDefined) else "archived",
        "decided_at": shown(event.occurred_at),
        "recorded_at": shown(one.recorded_at),
        "actor": event.actor,
        "reason": event.reason,
        **said,
    }
