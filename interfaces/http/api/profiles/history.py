"""Profile routes that read the ledger: history, diff between two points, export."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar
from uuid import UUID

from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from application.ledger.ledger import Ledger
from application.ledger.read.profiles import LATEST
from domain.core.errors import NotFound
from domain.events.events import MessageEvent
from domain.events.recorded import RecordedEvent
from domain.profiles import diff as profile_diff
from domain.profiles.as_of import LedgerPoint, ProfileAsOf
from domain.profiles.state import ProfileState
from interfaces.http.api.profiles.export import export_lines
from interfaces.http.api.profiles.schemas import (
    ProfileDiff,
    ProfileDiffParams,
    ProfileHistory,
    ProfileHistoryParams,
    ProfilePath,
)
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors, instants, received, references, shown_profile
from projections.kit.pages import split_page

NDJSON = "application/x-ndjson"


ParamsT = TypeVar("ParamsT", bound=ProfilePath)


def profile_history_routes(service: Service) -> APIRouter:
    """Build the history, diff and export routes of a profile."""
    routes = APIRouter(
        tags=["history"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    limit = ConcurrencyLimit()

    def add_route(
        path: str,
        params: type[ParamsT],
        answer: Callable[[Ledger, int, ParamsT], Response],
        *,
        responses: Mapping[int | str, dict[str, Any]] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        read = params_reader(params, path)

        async def endpoint(request: Request) -> Response:
            params = read(request)
            return await limit.run(
                answer, service.ledger, authenticated_key(request).workspace, params
            )

        routes.add_api_route(
            f"/v1{path}",
            endpoint,
            methods=["GET"],
            operation_id=re.sub(r"\W+", "_", f"get{path}"),
            responses={**error_responses(400, 401, 403, 404, 503), **responses},
            openapi_extra=openapi_parameters(params, path),
            **options,
        )

    add_route(
        "/profiles/{ref}/history",
        ProfileHistoryParams,
        _list_history,
        summary="List a profile's ledger events, oldest first",
        response_model=ProfileHistory,
    )
    add_route(
        "/profiles/{ref}/diff",
        ProfileDiffParams,
        _diff_profile,
        summary="Diff a profile between two points of the ledger",
        response_model=ProfileDiff,
    )
    add_route(
        "/profiles/{ref}/export",
        ProfilePath,
        _export_profile,
        summary="Export all data of a profile as NDJSON",
        response_class=StreamingResponse,
        responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
    )
    return routes


def _list_history(ledger: Ledger, workspace: int, params: ProfileHistoryParams) -> Response:
    after = 0 if params.cursor is None else cursors.decode_position(params.cursor)
    stream = _resolve_stream(ledger, workspace, params)
    head = ledger.point_at(workspace) or _raise_unknown_profile(params)
    streams = ledger.profile(workspace, stream, head.position).streams
    events = ledger.stream_events(
        workspace, streams, after=after, until=head.position, limit=params.limit + 1
    )
    if not (events or after):
        _raise_unknown_profile(params)
    page, next_page = split_page(
        events, params.limit, lambda event: cursors.encode_position(event.position)
    )
    return _response(
        {
            "history": [_ledger_event(recorded) for recorded in page],
            "next": next_page,
            "projected_to": head.position,
        }
    )


def _ledger_event(recorded: RecordedEvent) -> dict[str, Any]:
    event = recorded.event
    if event is None:
        return event_json.position_fields(recorded) | {"cause": None, "data": None}
    data = event_json.data_fields(event)
    if isinstance(event, MessageEvent):
        data["payload"] = received.strict_json(event.payload)
    return event_json.position_fields(recorded) | {
        "cause": event_json.cause_fields(event),
        "data": data,
    }


def _diff_profile(ledger: Ledger, workspace: int, params: ProfileDiffParams) -> Response:
    start = instants.parse_position_or_instant(params.from_, "from")
    end = LATEST if params.to is None else instants.parse_position_or_instant(params.to, "to")
    stream = _resolve_stream(ledger, workspace, params)
    before, after = (ledger.profile_as_of(workspace, stream, point) for point in (start, end))
    known = after or before or _raise_unknown_profile(params)
    changes = profile_diff.diff_states(_state_or_empty(before), _state_or_empty(after))
    return _response(
        {
            "id": known.profile.id,
            "from": _point_json(ledger.point_at(workspace, start)),
            "to": _point_json(ledger.point_at(workspace, end)),
            **{kind: [c._asdict() for c in entries] for kind, entries in changes.items()},
        }
    )


def _export_profile(ledger: Ledger, workspace: int, params: ProfilePath) -> Response:
    stream = _resolve_stream(ledger, workspace, params)
    profile = ledger.profile_as_of(workspace, stream, LATEST) or _raise_unknown_profile(params)
    name = f"profile-{profile.profile.id}.ndjson"
    return StreamingResponse(
        export_lines(ledger, workspace, profile),
        media_type=NDJSON,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _resolve_stream(ledger: Ledger, workspace: int, params: ProfilePath) -> UUID:
    return references.resolve_stream(params.ref, partial(ledger.stream_of, workspace))


def _state_or_empty(profile: ProfileAsOf | None) -> ProfileState:
    return ProfileState() if profile is None else profile.state


def _point_json(point: LedgerPoint | None) -> dict[str, Any] | None:
    return None if point is None else shown_profile.point_json(point)


def _response(answer: dict[str, Any]) -> Response:
    return Response(event_json.encode_json(answer), media_type="application/json")


def _raise_unknown_profile(params: ProfilePath) -> NoReturn:
    raise NotFound(f"profile {params.ref!r} not found in this workspace", profile=params.ref)
