"""What was decided about a segment, from the ledger: for all who may ask."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Security
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.segments import SegmentService, segment_event
from domain.core.errors import NotFound
from domain.core.time import format_utc
from domain.events.events import SegmentDefined
from domain.events.recorded import RecordedEvent
from domain.segments.segment import SegmentVersion
from interfaces.http.api.segments.segments import PATH, SegmentPath, definition_json
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors

DEFINITIONS_PATH = f"{PATH}/definitions"


class SegmentDefinitionsParams(SegmentPath):
    """Whose definitions, and which page."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500, description="Most definitions on a page.")] = 50


class SegmentRevision(BaseModel):
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


class SegmentRevisionList(Page):
    """What was decided about a segment, oldest first."""

    definitions: list[SegmentRevision]


def segment_definition_routes(service: Service) -> APIRouter:
    """Return the route that tells what was decided about a segment."""
    segments = SegmentService(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_definitions = params_reader(SegmentDefinitionsParams, DEFINITIONS_PATH)

    @routes.get(
        DEFINITIONS_PATH,
        summary="What was decided about a segment: each definition with who, when and why",
        operation_id="get_segment_definitions",
        response_model=SegmentRevisionList,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SegmentDefinitionsParams, DEFINITIONS_PATH),
    )
    async def list_segment_definitions(request: Request) -> Response:
        asked, workspace = read_definitions(request), authenticated_key(request).workspace
        return await run_in_threadpool(_list_definitions, service, segments, workspace, asked)

    return routes


def _list_definitions(
    service: Service, segments: SegmentService, workspace: int, params: SegmentDefinitionsParams
) -> Response:
    after = 0 if params.cursor is None else cursors.decode_position(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    found = segments.history(workspace, params.id, after=after, limit=params.limit + 1)
    if not (found or after):
        raise NotFound(f"there is no segment {params.id!r}", segment=params.id)
    page = found[: params.limit]
    answer = {
        "definitions": [_revision_json(it) for it in page],
        "next": cursors.encode_position(page[-1].position) if len(found) > len(page) else None,
        "projected_to": head,
    }
    return Response(event_json.encode_json(answer), media_type="application/json")


def _revision_json(recorded: RecordedEvent) -> dict[str, Any]:
    event = segment_event(recorded)
    said: dict[str, Any] = dict.fromkeys(("name", "description", "manual", "condition"))
    if isinstance(event, SegmentDefined):
        said = definition_json(SegmentVersion(event.name, event.description, event.condition))
    return {
        "version": recorded.version,
        "position": recorded.position,
        "change": "defined" if isinstance(event, SegmentDefined) else "archived",
        "decided_at": format_utc(event.occurred_at),
        "recorded_at": format_utc(recorded.recorded_at),
        "actor": event.actor,
        "reason": event.reason,
        **said,
    }
