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

from domain.funnels.funnel import Funnel, read
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, reader
from interfaces.http.queries import Behind, MinPosition, reader_of, when_reached
from interfaces.service import Service
from projections import timeline
from projections.funnels import answers
from projections.funnels.walking import Gone, gone
from projections.identity import projection as identity
from projections.kit import cursors
from projections.kit.instants import shown
from projections.kit.shown_profile import ShownIdentifier
from projections.runtime.checkpoint import reached
from projections.runtime.projection import Projection, Reader

PATH = "/v1/funnels/query"
EXAMPLE: dict[str, Any] = {
    "steps": [
        {"event": "product_view"},
        {
            "event": "purchase",
            "where": [{"path": "properties.total", "op": "gt", "value": 100}],
        },
    ],
    "window": "7d",
}


class Asked(BaseModel):
    """Which funnel."""

    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, json_schema_extra={"examples": [EXAMPLE]}
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
        return read({name: it for name, it in document.items() if it is not None})


class Who(BaseModel):
    """Which people of a funnel."""

    step: int = Field(ge=1, description="Those who took this step; 1 is the first.")
    lost: bool = Field(False, description="Only those of them who did not take the next one.")
    cursor: str | None = Field(None, max_length=200, description="`next` of the page before.")
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class AskedWho(Asked, Who):
    """Which people of which funnel."""


class CountedStep(BaseModel):
    """How many took a step."""

    event: Any
    profiles: int
    conversion: float = Field(description="Their share of those who took the first: 0 to 1.")
    from_previous: float = Field(description="Their share of those who took the one before.")
    seconds_p50: float | None = Field(description="Median of the seconds since the step before.")


class CountedValue(BaseModel):
    """The funnel of those whose first step has a value."""

    value: Any = Field(description="The first that is there; null: none is.")
    steps: list[CountedStep]


class Counted(BaseModel):
    """What a funnel comes to."""

    steps: list[CountedStep]
    breakdown: list[CountedValue] | None = Field(
        None, description="By value, those of most people first: at most 100."
    )
    values: int | None = Field(None, description="How many values there are.")
    as_of: datetime
    projected_to: int


class Walked(BaseModel):
    """Somebody in a funnel."""

    profile_id: UUID
    identifiers: list[ShownIdentifier]
    times: list[datetime] = Field(description="When each step was taken.")


class Walkers(BaseModel):
    """A page of people, by their ids."""

    profiles: list[Walked]
    next: str | None
    projected_to: int


def funnels(service: Service, *, wait_seconds: float) -> APIRouter:
    """Return the routes that answer funnels."""
    turns = Turns()
    read_nothing = reader(Nothing, PATH)
    routes = APIRouter(
        tags=["funnels"], dependencies=[Security(allow(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Count who took each step of a funnel, in order, each person once",
        operation_id="query_funnel",
        response_model=Counted,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(Asked),
    )
    async def query(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Asked)
        return await _take(request, asked.min_position, partial(counted, asked.funnel))

    @routes.post(
        f"{PATH}/profiles",
        summary="List who took a step of a funnel, or who was lost after it",
        operation_id="query_funnel_profiles",
        response_model=Walkers,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(AskedWho),
    )
    async def profiles(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, AskedWho)
        return await _take(request, asked.min_position, partial(listed, asked.funnel, asked))

    async def _take(
        request: Request, position: int | None, answer: Callable[[Reader], dict[str, Any]]
    ) -> Response:
        workspace = key_of(request).workspace
        asked = (service, workspace, position, answer)
        return await when_reached(position, wait_seconds, turns, answered, *asked)

    return routes


def answered(
    service: Service,
    workspace: int,
    position: int | None,
    answer: Callable[[Reader], dict[str, Any]],
    models: Sequence[Projection] = (timeline.projection,),
) -> bytes | Behind:
    """Answer from one snapshot of the read models and of who is who."""
    with service.engine.connect() as tx:
        projected_to = min(reached(tx, workspace, it, identity) for it in models)
        if projected_to < (position or 0):
            return Behind(position=projected_to)
        found = answer(reader_of(service, tx, workspace, projected_to))
        return msgspec.json.encode(found | {"projected_to": projected_to})


def counted(funnel: Funnel, reader: Reader) -> dict[str, Any]:
    """Return what a funnel comes to by now."""
    now = datetime.now(UTC)
    return answers.count(reader, funnel, now) | {"as_of": shown(now)}


def listed(funnel: Funnel, who: Who, reader: Reader) -> dict[str, Any]:
    """Return a page of who took a step by now."""
    everybody = gone(reader, funnel, datetime.now(UTC), after=after(who))
    return page(reader, everybody, len(funnel.steps), who)


def after(who: Who) -> UUID | None:
    """Return the last person of the page before.  Raises InvalidRequest."""
    return None if who.cursor is None else cursors.person(who.cursor)


def page(reader: Reader, everybody: Iterator[Gone], steps: int, who: Who) -> dict[str, Any]:
    """Return a page of those who took a step."""
    found, last = answers.people(
        reader, everybody, steps, step=who.step, lost=who.lost, limit=who.limit
    )
    return {"profiles": found, "next": None if last is None else cursors.after_text(str(last))}
