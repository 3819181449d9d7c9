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

from domain.funnels.goals import Goal, read
from interfaces.http.api.funnels.funnels import Walkers, Who, after, answered, page
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, reader
from interfaces.http.queries import MinPosition, when_reached
from interfaces.service import Service
from projections import channel_funnels, timeline
from projections.funnels import goals
from projections.kit.instants import shown
from projections.runtime.projection import Reader

PATH = "/v1/goals/query"


class Asked(BaseModel):
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
    def wanted(self) -> Goal:
        """The same in the words of the domain.  Raises InvalidRequest."""
        document = {"exposure": self.exposure, "goal": self.goal, "within": self.within}
        return read(document | {"from": self.from_, "to": self.to})


class AskedWho(Asked, Who):
    """Which people: step 1 are those exposed, 2 those who did it; lost after 1 are the others."""


class Counted(BaseModel):
    """What a goal comes to."""

    exposed: int = Field(description="Different people.")
    converted: int = Field(description="Those of them who did it in time after any exposure.")
    conversion: float = Field(description="Their share: 0 to 1.")
    seconds_p50: float | None = Field(description="Median from the exposure to the goal.")
    as_of: datetime
    projected_to: int


def routes_of(service: Service, *, wait_seconds: float) -> APIRouter:
    """Return the routes that answer goals."""
    turns = Turns()
    read_nothing = reader(Nothing, PATH)
    routes = APIRouter(
        tags=["funnels"], dependencies=[Security(allow(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Count who did something in time after a message or an event, each person once",
        operation_id="query_goal",
        response_model=Counted,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(Asked),
    )
    async def query(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Asked)
        return await _take(request, asked.min_position, partial(_counted, asked.wanted))

    @routes.post(
        f"{PATH}/profiles",
        summary="List who did it in time (step 2), or who was exposed and did not (step 1, lost)",
        operation_id="query_goal_profiles",
        response_model=Walkers,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(AskedWho),
    )
    async def profiles(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, AskedWho)
        return await _take(request, asked.min_position, partial(_listed, asked.wanted, asked))

    async def _take(
        request: Request, position: int | None, answer: Callable[[Reader], dict[str, Any]]
    ) -> Response:
        workspace = key_of(request).workspace
        models = (timeline.projection, channel_funnels.projection)
        asked = (service, workspace, position, answer, models)
        return await when_reached(position, wait_seconds, turns, answered, *asked)

    return routes


def _counted(goal: Goal, reader: Reader) -> dict[str, Any]:
    now = datetime.now(UTC)
    return goals.count(reader, goal, now) | {"as_of": shown(now)}


def _listed(goal: Goal, who: Who, reader: Reader) -> dict[str, Any]:
    everybody = goals.exposed(reader, goal, datetime.now(UTC), after=after(who))
    return page(reader, everybody, 2, who)
