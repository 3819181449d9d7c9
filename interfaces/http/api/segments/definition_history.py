"""Definition history of a segment, read from the ledger."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Security
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from application.definitions.segment_store import segment_event
from application.definitions.segments import SegmentService
from domain.core.errors import NotFound
from domain.core.time import format_utc
from domain.events.events import SegmentDefined
from domain.events.recorded import RecordedEvent
from domain.segments.segment import SegmentVersion
from interfaces.http.api.segments.schemas import SegmentDefinitionsParams, SegmentRevisionList
from interfaces.http.api.segments.segments import PATH, definition_json
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors

DEFINITIONS_PATH = f"{PATH}/definitions"


def segment_definition_routes(service: Service) -> APIRouter:
    """Build the route of a segment's definitions."""
    segments = SegmentService(service.ledger)
    routes = APIRouter(
        tags=["segments"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    read_definitions = params_reader(SegmentDefinitionsParams, DEFINITIONS_PATH)

    @routes.get(
        DEFINITIONS_PATH,
        summary="List a segment's definitions with actor, time and reason",
        operation_id="list_segment_definitions",
        response_model=SegmentRevisionList,
        responses=error_responses(400, 401, 403, 404, 503),
        openapi_extra=openapi_parameters(SegmentDefinitionsParams, DEFINITIONS_PATH),
    )
    async def list_segment_definitions(request: Request) -> Response:
        params, workspace = read_definitions(request), authenticated_key(request).workspace
        return await run_in_threadpool(_list_definitions, service, segments, workspace, params)

    return routes


def _list_definitions(
    service: Service, segments: SegmentService, workspace: int, params: SegmentDefinitionsParams
) -> Response:
    after = 0 if params.cursor is None else cursors.decode_position(params.cursor)
    head = service.ledger.heads().get(workspace, 0)
    revisions = segments.history(workspace, params.id, after=after, limit=params.limit + 1)
    if not (revisions or after):
        raise NotFound(f"segment {params.id!r} not found", segment=params.id)
    page = revisions[: params.limit]
    answer = {
        "definitions": [_revision_json(recorded) for recorded in page],
        "next": cursors.encode_position(page[-1].position) if len(revisions) > len(page) else None,
        "projected_to": head,
    }
    return Response(event_json.encode_json(answer), media_type="application/json")


def _revision_json(recorded: RecordedEvent) -> dict[str, Any]:
    event = segment_event(recorded)
    definition: dict[str, Any] = dict.fromkeys(("name", "description", "manual", "condition"))
    if isinstance(event, SegmentDefined):
        definition = definition_json(SegmentVersion(event.name, event.description, event.condition))
    return {
        "version": recorded.version,
        "position": recorded.position,
        "change": "defined" if isinstance(event, SegmentDefined) else "archived",
        "decided_at": format_utc(event.occurred_at),
        "recorded_at": format_utc(recorded.recorded_at),
        "actor": event.actor,
        "reason": event.reason,
        **definition,
    }
