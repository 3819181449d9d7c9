"""Goals: how many of those who were exposed to something did what they were meant to, in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from domain.core.time import format_utc
from domain.funnels.goals import Goal, parse_goal
from interfaces.http.api.funnels.funnel_queries import (
    FunnelProfileList,
    FunnelStepParams,
    answer_from_snapshot,
    cursor_profile_id,
    profile_page,
)
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.http.query_routes import MinPosition, resolve_min_position, wait_for_position
from interfaces.service import Service
from projections import channel_funnels, timeline
from projections.funnels import goals
from projections.runtime.projection import Reader

PATH = "/v1/goals/query"


class GoalQuery(BaseModel):
    """Which goal."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={
            "examples": [
                {
                    "exposure": {"step": "delivered", "campaign": "spring", "channel": "email"},
                    "goal": {"event": "purchase"},
                    "within": "7d",
                }
            ]
        },
    )

    exposure: Any = Field(
        description="A message that took a step (`sent`, `delivered`, `read`, `clicked`) or a later one:"
        " `{step, campaign, channel, template}`; or an event: `{event, where}`."
    )
    goal: Any = Field(description="The event that people should do: `{event, where}`.")
    within: str = Field(description="Longest time from the exposure to the goal, such as `7d`.")
    from_: str | None = Field(None, alias="from", description="Exposed at or after this instant.")
    to: str | None = Field(None, description="Exposed before this instant.")
    min_position: MinPosition = None

    @property
    def goal_definition(self) -> Goal:
        """The same in the words of the domain.  Raises InvalidRequest."""
        document = {"exposure": self.exposure, "goal": self.goal, "within": self.within}
        return parse_goal(document | {"from": self.from_, "to": self.to})


class GoalProfilesQuery(GoalQuery, FunnelStepParams):
    """Which people: step 1 are those exposed, 2 those who did it; lost after 1 are the others."""


class GoalConversion(BaseModel):
    """What a goal comes to."""

    exposed: int = Field(description="Different people.")
    converted: int = Field(description="Those of them who did it in time after any exposure.")
    conversion: float = Field(description="Their share: 0 to 1.")
    seconds_p50: float | None = Field(description="Median from the exposure to the goal.")
    as_of: datetime
    projected_to: int


def goal_query_routes(service: Service, *, wait_seconds: float) -> APIRouter:
    """Return the routes that answer goals."""
    turns = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["funnels"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Count who did something in time after a message or an event, each person once",
        operation_id="query_goal",
        response_model=GoalConversion,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(GoalQuery),
    )
    async def query_goal(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, GoalQuery)
        return await _respond(
            request, asked.min_position, partial(_count_goal, asked.goal_definition)
        )

    @routes.post(
        f"{PATH}/profiles",
        summary="List who did it in time (step 2), or who was exposed and did not (step 1, lost)",
        operation_id="query_goal_profiles",
        response_model=FunnelProfileList,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(GoalProfilesQuery),
    )
    async def query_goal_profiles(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, GoalProfilesQuery)
        return await _respond(
            request, asked.min_position, partial(_list_goal_profiles, asked.goal_definition, asked)
        )

    async def _respond(
        request: Request,
        min_position: int | None,
        answer: Callable[[Reader], dict[str, Any]],
    ) -> Response:
        workspace = authenticated_key(request).workspace
        position = await resolve_min_position(service, workspace, min_position)
        models = (timeline.projection, channel_funnels.projection)
        asked = (service, workspace, position, answer, models)
        return await wait_for_position(position, wait_seconds, turns, answer_from_snapshot, *asked)

    return routes


def _count_goal(goal: Goal, reader: Reader) -> dict[str, Any]:
    now = datetime.now(UTC)
    return goals.count_goal(reader, goal, now) | {"as_of": format_utc(now)}


def _list_goal_profiles(goal: Goal, params: FunnelStepParams, reader: Reader) -> dict[str, Any]:
    everybody = goals.exposed_profiles(
        reader, goal, datetime.now(UTC), after=cursor_profile_id(params)
    )
    return profile_page(reader, everybody, 2, params)
