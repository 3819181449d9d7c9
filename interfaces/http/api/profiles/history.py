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
from domain.events.recorded import Recorded
from domain.profiles import diff as profile_diff
from domain.profiles.as_of import Past, Place
from domain.profiles.state import ProfileState
from interfaces.http.api.profiles.export import export
from interfaces.http.kit import event_json
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.json import Instant, Listed
from interfaces.http.kit.params import parameters, reader
from interfaces.service import Service
from projections.kit import cursors, instants, received, references, shown_profile
from projections.kit.shown_profile import ShownPlace

NDJSON = "application/x-ndjson"

Ref = Annotated[str, Field(description="Profile id, or `user_id:u-1`, `email:…`, `anonymous_id:…`")]

WHEN = "A position of the ledger, or an instant (a date or time without offset is UTC)"


class OfProfile(BaseModel):
    """Whose."""

    ref: Ref


class HistoryParams(OfProfile):
    """Whose, and which page."""

    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500, description="Most events on a page.")] = 50


class DiffParams(OfProfile):
    """Whose, and between which places."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from", max_length=100, description=WHEN)
    to: str | None = Field(None, max_length=100, description=f"{WHEN}; now, if left out")


class RawEvent(BaseModel):
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


class History(Listed):
    """A page of a person's events, in the order in which the ledger took them."""

    history: list[RawEvent]


class Change(BaseModel):
    """One thing that was added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    after: Any


class Diff(BaseModel):
    """What changed of a person."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    from_: ShownPlace | None = Field(alias="from", description="Null: before the first event.")
    to: ShownPlace
    identifiers: list[Change]
    attributes: list[Change]
    tags: list[Change]
    contacts: list[Change]
    groups: list[Change]
    devices: list[Change]


Asked = TypeVar("Asked", bound=OfProfile)


def past(service: Service) -> APIRouter:
    """Return the routes that ask the ledger about one person."""
    routes = APIRouter(
        tags=["past"],
        dependencies=[Security(allow(service.keys, "read", "admin"))],
        redirect_slashes=False,
    )
    turns = Turns()

    def add(
        path: str,
        params: type[Asked],
        answer: Callable[[Ledger, int, Asked], Response],
        *,
        responses: Mapping[int | str, dict[str, Any]] = MappingProxyType({}),
        **described: Any,
    ) -> None:
        read = reader(params, path)

        async def endpoint(request: Request) -> Response:
            asked = read(request)
            return await turns.take(answer, service.ledger, key_of(request).workspace, asked)

        routes.add_api_route(
            f"/v1{path}",
            endpoint,
            methods=["GET"],
            operation_id=re.sub(r"\W+", "_", f"get{path}"),
            responses={**documented(400, 401, 403, 404, 503), **responses},
            openapi_extra=parameters(params, path),
            **described,
        )

    add(
        "/profiles/{ref}/history",
        HistoryParams,
        _history,
        summary="List a person's events as the ledger holds them, oldest first",
        response_model=History,
    )
    add(
        "/profiles/{ref}/diff",
        DiffParams,
        _diff,
        summary="Show what changed of a profile between two places of the ledger",
        response_model=Diff,
    )
    add(
        "/profiles/{ref}/export",
        OfProfile,
        _export,
        summary="Export all that the ledger holds of a person, one JSON object a line",
        response_class=StreamingResponse,
        responses={200: {"content": {NDJSON: {"schema": {"type": "string"}}}}},
    )
    return routes


def _history(ledger: Ledger, workspace: int, asked: HistoryParams) -> Response:
    after = 0 if asked.cursor is None else cursors.position(asked.cursor)
    stream = _stream(ledger, workspace, asked)
    place = ledger.place(workspace) or _unknown(asked)
    streams = ledger.person(workspace, stream, place.position).streams
    found = ledger.history(
        workspace, streams, after=after, until=place.position, limit=asked.limit + 1
    )
    if not (found or after):
        _unknown(asked)
    page = found[: asked.limit]
    return _answered(
        {
            "history": [_raw(it) for it in page],
            "next": cursors.after_position(page[-1].position) if len(found) > len(page) else None,
            "projected_to": place.position,
        }
    )


def _raw(one: Recorded) -> dict[str, Any]:
    event = one.event
    if event is None:
        return event_json.place_of(one) | {"cause": None, "data": None}
    said = event_json.data_of(event)
    if isinstance(event, MessageEvent):
        said["payload"] = received.as_json(event.payload)
    return event_json.place_of(one) | {"cause": event_json.cause_of(event), "data": said}


def _diff(ledger: Ledger, workspace: int, asked: DiffParams) -> Response:
    since = instants.place(asked.from_, "from")
    until = LATEST if asked.to is None else instants.place(asked.to, "to")
    stream = _stream(ledger, workspace, asked)
    before, after = (ledger.past(workspace, stream, it) for it in (since, until))
    known = after or before or _unknown(asked)
    changes = profile_diff.difference(_state(before), _state(after))
    return _answered(
        {
            "id": known.person.id,
            "from": _place(ledger.place(workspace, since)),
            "to": _place(ledger.place(workspace, until)),
            **{kind: [it._asdict() for it in found] for kind, found in changes.items()},
        }
    )


def _export(ledger: Ledger, workspace: int, asked: OfProfile) -> Response:
    stream = _stream(ledger, workspace, asked)
    found = ledger.past(workspace, stream, LATEST) or _unknown(asked)
    name = f"profile-{found.person.id}.ndjson"
    return StreamingResponse(
        export(ledger, workspace, found),
        media_type=NDJSON,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _stream(ledger: Ledger, workspace: int, asked: OfProfile) -> UUID:
    return references.stream(asked.ref, partial(ledger.stream_of, workspace))


def _state(past: Past | None) -> ProfileState:
    return ProfileState() if past is None else past.state


def _place(place: Place | None) -> dict[str, Any] | None:
    return None if place is None else shown_profile.place(place)


def _answered(answer: dict[str, Any]) -> Response:
    return Response(event_json.encode(answer), media_type="application/json")


def _unknown(asked: OfProfile) -> NoReturn:
    raise NotFound(f"no profile {asked.ref!r} is known in this workspace", profile=asked.ref)
