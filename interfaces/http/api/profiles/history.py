"""What the ledger itself says of a person: their history, what changed between two places, all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from uuid import UUID

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
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
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.json_response import Instant, Page
from interfaces.http.kit.params import openapi_parameters, params_reader
from interfaces.service import Service
from projections.kit import cursors, instants, received, references, shown_profile
from projections.kit.shown_profile import AsOfPoint

NDJSON = "application/x-ndjson"

ProfileRef = Annotated[
    str, Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")
]

POINT_IN_TIME = "A position of the ledger, or an instant (a date or time without offset is UTC)"


class ProfilePath(BaseModel):
    """Whose."""

    ref: ProfileRef


class ProfileHistoryParams(ProfilePath):
    """Whose, and which page."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500, description="Most events on a page.")] = 50


class ProfileDiffParams(ProfilePath):
    """Whose, and between which places."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from", max_length=100, description=POINT_IN_TIME)
    to: str | None = Field(None, max_length=100, description=f"{POINT_IN_TIME}; now, if left out")


class LedgerEvent(BaseModel):
    """An event of the ledger as it is."""

    position: int
    stream: UUID
    version: int = Field(description="Place in its stream, from 1.")
    recorded_at: Instant
    topic: str | None = Field(description="What kind of fact it is; null once it was erased.")
    id: UUID | None
    cause: dict[str, Any] | None = Field(
        description="What made it: `message_id` and `source`; of a link, the `event` that showed"
        " it; of what somebody decided, `actor` and `reason`."
    )
    data: dict[str, Any] | None = Field(description="What it says.")


class ProfileHistory(Page):
    """A page of a person's events, in the order in which the ledger took them."""

    history: list[LedgerEvent]


class ProfileDiffEntry(BaseModel):
    """One thing that was added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    after: Any


class ProfileDiff(BaseModel):
    """What changed of a person."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    from_: AsOfPoint | None = Field(alias="from", description="Null: before the first event.")
    to: AsOfPoint
    identifiers: list[ProfileDiffEntry]
    attributes: list[ProfileDiffEntry]
    tags: list[ProfileDiffEntry]
    contacts: list[ProfileDiffEntry]
    groups: list[ProfileDiffEntry]
    devices: list[ProfileDiffEntry]


ParamsT = TypeVar("ParamsT", bound=ProfilePath)


def profile_history_routes(service: Service) -> APIRouter:
    """Return the routes that ask the ledger about one person."""
    routes = APIRouter(
        tags=["past"],
        dependencies=[Security(require_key(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    turns = ConcurrencyLimit()

    def add_route(
        path: str,
        params: type[ParamsT],
        answer: Callable[[Ledger, int, ParamsT], Response],
        *,
        responses: Mapping[int | str, dict[str, Any]] = MappingProxyType({}),
        **described: Any,
    ) -> None:
        read = params_reader(params, path)

        async def endpoint(request: Request) -> Response:
            asked = read(request)
            return await turns.run(
                answer, service.ledger, authenticated_key(request).workspace, asked
            )

        routes.add_api_route(
            f"/v1{path}",
            endpoint,
            methods=["GET"],
            operation_id=re.sub(r"\W+", "_", f"get{path}"),
            responses={**error_responses(400, 401, 403, 404, 503), **responses},
            openapi_extra=openapi_parameters(params, path),
            **described,
        )

    add_route(
        "/profiles/{ref}/history",
        ProfileHistoryParams,
        _list_history,
        summary="List a person's events as the ledger holds them, oldest first",
        response_model=ProfileHistory,
    )
    add_route(
        "/profiles/{ref}/diff",
        ProfileDiffParams,
        _diff_profile,
        summary="Show what changed of a profile between two places of the ledger",
        response_model=ProfileDiff,
    )
    add_route(
        "/profiles/{ref}/export",
        ProfilePath,
        _export_profile,
        summary="Export all that the ledger holds of a person, one JSON object a line",
        response_class=StreamingResponse,
        responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
    )
    return routes


def _list_history(ledger: Ledger, workspace: int, params: ProfileHistoryParams) -> Response:
    after = 0 if params.cursor is None else cursors.decode_position(params.cursor)
    stream = _resolve_stream(ledger, workspace, params)
    place = ledger.point_at(workspace) or _raise_unknown_profile(params)
    streams = ledger.profile(workspace, stream, place.position).streams
    found = ledger.stream_events(
        workspace, streams, after=after, until=place.position, limit=params.limit + 1
    )
    if not (found or after):
        _raise_unknown_profile(params)
    page = found[: params.limit]
    return _response(
        {
            "history": [_ledger_event(it) for it in page],
            "next": cursors.encode_position(page[-1].position) if len(found) > len(page) else None,
            "projected_to": place.position,
        }
    )


def _ledger_event(recorded: RecordedEvent) -> dict[str, Any]:
    event = recorded.event
    if event is None:
        return event_json.position_fields(recorded) | {"cause": None, "data": None}
    said = event_json.data_fields(event)
    if isinstance(event, MessageEvent):
        said["payload"] = received.strict_json(event.payload)
    return event_json.position_fields(recorded) | {
        "cause": event_json.cause_fields(event),
        "data": said,
    }


def _diff_profile(ledger: Ledger, workspace: int, params: ProfileDiffParams) -> Response:
    since = instants.parse_position_or_instant(params.from_, "from")
    until = LATEST if params.to is None else instants.parse_position_or_instant(params.to, "to")
    stream = _resolve_stream(ledger, workspace, params)
    before, after = (ledger.profile_as_of(workspace, stream, it) for it in (since, until))
    known = after or before or _raise_unknown_profile(params)
    changes = profile_diff.diff_states(_state_or_empty(before), _state_or_empty(after))
    return _response(
        {
            "id": known.profile.id,
            "from": _point_json(ledger.point_at(workspace, since)),
            "to": _point_json(ledger.point_at(workspace, until)),
            **{kind: [it._asdict() for it in found] for kind, found in changes.items()},
        }
    )


def _export_profile(ledger: Ledger, workspace: int, params: ProfilePath) -> Response:
    stream = _resolve_stream(ledger, workspace, params)
    found = ledger.profile_as_of(workspace, stream, LATEST) or _raise_unknown_profile(params)
    name = f"profile-{found.profile.id}.ndjson"
    return StreamingResponse(
        export_lines(ledger, workspace, found),
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
    raise NotFound(f"no profile {params.ref!r} is known in this workspace", profile=params.ref)
