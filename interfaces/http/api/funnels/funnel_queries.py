"""Funnels over events, asked and answered at once: how many took each step, and who."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from domain.core.time import format_utc
from domain.funnels.funnel import Funnel, parse_funnel
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.http.query_routes import (
    MinPosition,
    ReadModelBehind,
    query_reader,
    resolve_min_position,
    wait_for_position,
)
from interfaces.service import Service
from projections import timeline
from projections.funnels import counts
from projections.funnels.profile_walks import ProfileWalk, walk_profiles
from projections.identity import projection as identity
from projections.kit import cursors
from projections.kit.shown_profile import ProfileIdentifier
from projections.runtime.checkpoint import common_position
from projections.runtime.projection import Projection, Reader

PATH = "/v1/funnels/query"
EXAMPLE_FUNNEL: dict[str, Any] = {
    "steps": [
        {"event": "product_view"},
        {
            "event": "purchase",
            "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        },
    ],
    "window": "7d",
}


class FunnelQuery(BaseModel):
    """Which funnel."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"examples": [EXAMPLE_FUNNEL]}
    )

    steps: Any = Field(
        description="1 to 20 of `{event, where}`, as in a condition: a name or a pattern of names, and"
        " comparisons of its properties.  A step may carry the same instant as the one before, but is"
        " always another event."
    )
    window: str | None = Field(
        None, description="Longest time from the first step to the last, such as `7d`."
    )
    from_: str | None = Field(None, alias="from", description="No step is before this instant.")
    to: str | None = Field(None, description="Every step is before this instant.")
    breakdown: str | None = Field(
        None,
        description="Tell people apart by this property of their first step, such as"
        " `properties.plan`; the values of most people are answered.",
    )
    min_position: MinPosition = None

    @property
    def funnel(self) -> Funnel:
        """The same in the words of the domain.  Raises InvalidRequest."""
        document = {
            "steps": self.steps,
            "window": self.window,
            "from": self.from_,
            "to": self.to,
            "breakdown": self.breakdown,
        }
        return parse_funnel({name: it for name, it in document.items() if it is not None})


class FunnelStepParams(BaseModel):
    """Which people of a funnel."""

    step: int = Field(ge=1, description="Those who took this step; 1 is the first.")
    lost: bool = Field(False, description="Only those of them who did not take the next one.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class FunnelProfilesQuery(FunnelQuery, FunnelStepParams):
    """Which people of which funnel."""


class StepConversion(BaseModel):
    """How many took a step."""

    event: Any
    profiles: int
    conversion: float = Field(description="Their share of those who took the first: 0 to 1.")
    from_previous: float = Field(description="Their share of those who took the one before.")
    seconds_p50: float | None = Field(description="Median of the seconds since the step before.")


class ConversionBreakdown(BaseModel):
    """The funnel of those whose first step has a value."""

    value: Any = Field(description="The first that is there; null: none is.")
    steps: list[StepConversion]


class FunnelConversion(BaseModel):
    """What a funnel comes to."""

    steps: list[StepConversion]
    breakdown: list[ConversionBreakdown] | None = Field(
        None, description="By value, those of most people first: at most 100."
    )
    values: int | None = Field(None, description="How many values there are.")
    as_of: datetime
    projected_to: int


class FunnelProfile(BaseModel):
    """Somebody in a funnel."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    times: list[datetime] = Field(description="When each step was taken.")


class FunnelProfileList(BaseModel):
    """A page of people, by their ids."""

    profiles: list[FunnelProfile]
    next: str | None
    projected_to: int


def funnel_query_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Return the routes that answer funnels."""
    turns = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["funnels"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Count who took each step of a funnel, in order, each person once",
        operation_id="query_funnel",
        response_model=FunnelConversion,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(FunnelQuery),
    )
    async def query_funnel(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, FunnelQuery)
        return await _respond(request, asked.min_position, partial(count_funnel, asked.funnel))

    @routes.post(
        f"{PATH}/profiles",
        summary="List who took a step of a funnel, or who was lost after it",
        operation_id="query_funnel_profiles",
        response_model=FunnelProfileList,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(FunnelProfilesQuery),
    )
    async def query_funnel_profiles(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, FunnelProfilesQuery)
        return await _respond(
            request, asked.min_position, partial(list_funnel_profiles, asked.funnel, asked)
        )

    async def _respond(
        request: Request,
        min_position: int | None,
        answer: Callable[[Reader], dict[str, Any]],
    ) -> Response:
        workspace = authenticated_key(request).workspace
        position = await resolve_min_position(service, workspace, min_position)
        asked = (service, workspace, position, answer)
        return await wait_for_position(position, wait_seconds, turns, answer_from_snapshot, *asked)

    return routes


def answer_from_snapshot(
    service: Service,
    workspace: int,
    position: int,
    answer: Callable[[Reader], dict[str, Any]],
    read_models: Sequence[Projection] = (timeline.projection,),
) -> bytes | ReadModelBehind:
    """Answer from one snapshot of the read models and of who is who."""
    with service.engine.connect() as tx:
        projected_to = min(common_position(tx, workspace, it, identity) for it in read_models)
        if projected_to < position:
            return ReadModelBehind(position=projected_to)
        found = answer(query_reader(service, tx, workspace, projected_to))
        return msgspec.json.encode(found | {"projected_to": projected_to})


def count_funnel(funnel: Funnel, reader: Reader) -> dict[str, Any]:
    """Return what a funnel comes to by now."""
    now = datetime.now(UTC)
    return counts.count_funnel(reader, funnel, now) | {"as_of": format_utc(now)}


def list_funnel_profiles(
    funnel: Funnel, params: FunnelStepParams, reader: Reader
) -> dict[str, Any]:
    """Return a page of who took a step by now."""
    everybody = walk_profiles(reader, funnel, datetime.now(UTC), after=cursor_profile_id(params))
    return profile_page(reader, everybody, len(funnel.steps), params)


def cursor_profile_id(params: FunnelStepParams) -> UUID | None:
    """Return the last person of the page before.  Raises InvalidRequest."""
    return None if params.cursor is None else cursors.decode_profile_id(params.cursor)


def profile_page(
    reader: Reader, walks: Iterator[ProfileWalk], steps: int, params: FunnelStepParams
) -> dict[str, Any]:
    """Return a page of those who took a step."""
    found, last = counts.list_profiles_at_step(
        reader, walks, steps, step=params.step, lost=params.lost, limit=params.limit
    )
    return {"profiles": found, "next": None if last is None else cursors.encode_text(str(last))}
