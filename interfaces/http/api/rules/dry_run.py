"""What a rule would have done in the past, before anybody enables it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from domain.core.errors import InvalidRequest
from domain.core.time import from_micros, to_micros
from domain.events.recorded import Recorded
from domain.rules import definition as plans
from domain.rules.definition import Plan
from interfaces.http.api.rules.rules import EXAMPLES
from interfaces.http.kit.auth import allow, key_of
from interfaces.http.kit.concurrency_limit import Turns
from interfaces.http.kit.errors import documented
from interfaces.http.kit.params import Nothing, body, body_of, reader
from interfaces.http.queries import reader_of
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.kit.shown_profile import ShownIdentifier
from projections.runtime.checkpoint import reached
from projections.segments.queries.dry_run import SAMPLE, Ledger, Rehearsed, Span

PATH = "/v1/rules/dry-run"
LONGEST_HISTORY = 100_000
"""Events of one person that are gone through; what came later is left out."""


class Asked(BaseModel):
    """Which rule, and over what time."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [{"rule": EXAMPLES[1], "from": "2026-03-01"}]},
    )

    rule: Any = Field(description="As in `POST /v1/rules`; name and description may be left out.")
    from_: str = Field(
        alias="from",
        max_length=100,
        description="As if it had been enabled then (a date or time without offset is UTC).",
    )
    to: str | None = Field(None, max_length=100, description="Until then.  Left out: now.")


class Fired(BaseModel):
    """A time that it would have fired."""

    profile_id: UUID
    identifiers: list[ShownIdentifier]
    cause: str
    at: datetime
    branch: str


class Day(BaseModel):
    """A day, UTC."""

    day: str
    fired: int


class Rehearsal(BaseModel):
    """What would have come of it."""

    fired: int
    waiting: int = Field(description="Those that would still wait at the end.")
    suppressed: dict[str, int] = Field(description="By the reason.")
    days: list[Day]
    sample: list[Fired]
    people: int = Field(description="Of how many people this was counted.")
    of: int = Field(description="How many may have set it off: if more, the people are a sample.")
    projected_to: int


def rehearsing(service: Service) -> APIRouter:
    """Return the route that tells what a rule would have done."""
    turns = Turns()
    read_nothing = reader(Nothing, PATH)
    routes = APIRouter(
        tags=["rules"], dependencies=[Security(allow(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Say what a rule would have done in the past, for whom, and why not for others",
        operation_id="dry_run_rule",
        response_model=Rehearsal,
        responses=documented(400, 401, 403, 413, 503),
        openapi_extra=body(Asked),
    )
    async def dry_run(request: Request) -> Response:
        read_nothing(request)
        asked = await body_of(request, Asked)
        plan = _plan(asked.rule)
        after = instants.instant(asked.from_, UTC, "from")
        until = datetime.now(UTC) if asked.to is None else instants.instant(asked.to, UTC, "to")
        found = await turns.take(_rehearse, service, key_of(request).workspace, plan, after, until)
        return Response(found, media_type="application/json")

    return routes


def _plan(rule: Any) -> Plan:
    names = {"name", "description", "reason", "id", "version"}
    if isinstance(rule, dict):
        rule = {key: it for key, it in rule.items() if key not in names}
    try:
        return plans.read(rule)
    except InvalidRequest as error:
        path = "/rule" + error.details.get("path", "")
        raise InvalidRequest(f"{error}", path=path) from None


def _rehearse(
    service: Service, workspace: int, plan: Plan, after: datetime, until: datetime
) -> bytes:
    first, last = (service.ledger.place(workspace, it) for it in (after, until))
    with service.engine.connect() as tx:
        position = reached(tx, workspace, segments.projection, identity)
        end = 0 if last is None else min(last.position, position)
        start = 0 if first is None else first.position

        def history(streams: Sequence[UUID]) -> Sequence[Recorded]:
            return service.ledger.history(
                workspace, streams, after=0, until=end, limit=LONGEST_HISTORY
            )

        ledger = Ledger(
            history,
            partial(service.feed.attested, workspace),
            partial(service.feed.stream_of, workspace),
        )
        # An event recorded at the very first instant is one of the span.
        span = Span(to_micros(after), to_micros(until), max(start - 1, 0), end)
        found = segments.rehearse(tx, workspace, plan, span, ledger)
        names = reader_of(service, tx, workspace, position)
        sample = [it for it in found.runs if it.outcome == "fired"][:SAMPLE]
        people = names.persons({it.stream for it in sample})
        shown = names.names(people.values())
        answer = _answer(found, position) | {
            "sample": [
                {
                    "profile_id": people[it.stream].id,
                    "identifiers": [one._asdict() for one in shown.get(people[it.stream].id, ())],
                    "cause": it.cause,
                    "at": instants.shown(from_micros(it.since.at)),
                    "branch": it.reason,
                }
                for it in sample
            ]
        }
    return msgspec.json.encode(answer)


def _answer(found: Rehearsed, position: int) -> dict[str, Any]:
    outcomes = found.outcomes
    return {
        "fired": sum(n for (outcome, _), n in outcomes.items() if outcome == "fired"),
        "waiting": sum(n for (outcome, _), n in outcomes.items() if outcome == "waiting"),
        "suppressed": {
            reason: n
            for (outcome, reason), n in sorted(outcomes.items())
            if outcome == "suppressed"
        },
        "days": [{"day": day, "fired": n} for day, n in sorted(found.days.items())],
        "people": found.people,
        "of": found.of,
        "projected_to": position,
    }
