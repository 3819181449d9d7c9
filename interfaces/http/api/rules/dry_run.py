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
from domain.core.time import format_utc, from_micros, to_micros
from domain.events.recorded import RecordedEvent
from domain.rules import definition as plans
from domain.rules.definition import RuleDefinition
from interfaces.http.api.rules.rules import RULE_EXAMPLES
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.http.query_routes import query_reader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.kit.shown_profile import ProfileIdentifier
from projections.runtime.checkpoint import common_position
from projections.segments.queries.dry_run import (
    SAMPLE_SIZE,
    DryRunPeriod,
    HistorySource,
    SimulatedRuns,
)

PATH = "/v1/rules/dry-run"
MAX_HISTORY_EVENTS = 100_000
"""Events of one person that are gone through; what came later is left out."""


class DryRunRequest(BaseModel):
    """Which rule, and over what time."""

    model_config = ConfigDict(
        extra="forbid",
        populate_by_name=True,
        json_schema_extra={"examples": [{"rule": RULE_EXAMPLES[1], "from": "2026-03-01"}]},
    )

    rule: Any = Field(description="As in `POST /v1/rules`; name and description may be left out.")
    from_: str = Field(
        alias="from",
        max_length=100,
        description="As if it had been enabled then (a date or time without offset is UTC).",
    )
    to: str | None = Field(None, max_length=100, description="Until then.  Left out: now.")


class DryRunFiring(BaseModel):
    """A time that it would have fired."""

    profile_id: UUID
    identifiers: list[ProfileIdentifier]
    cause: str
    at: datetime
    branch: str


class DryRunDay(BaseModel):
    """A day, UTC."""

    day: str
    fired: int


class RuleDryRun(BaseModel):
    """What would have come of it."""

    fired: int
    waiting: int = Field(description="Those that would still wait at the end.")
    suppressed: dict[str, int] = Field(description="By the reason.")
    days: list[DryRunDay]
    sample: list[DryRunFiring]
    people: int = Field(description="Of how many people this was counted.")
    of: int = Field(description="How many may have set it off: if more, the people are a sample.")
    projected_to: int


def dry_run_routes(service: Service) -> APIRouter:
    """Return the route that tells what a rule would have done."""
    turns = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["rules"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Say what a rule would have done in the past, for whom, and why not for others",
        operation_id="dry_run_rule",
        response_model=RuleDryRun,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(DryRunRequest),
    )
    async def dry_run_rule(request: Request) -> Response:
        read_nothing(request)
        asked = await parse_body(request, DryRunRequest)
        plan = _parse_rule(asked.rule)
        after = instants.parse_instant(asked.from_, UTC, "from")
        until = (
            datetime.now(UTC) if asked.to is None else instants.parse_instant(asked.to, UTC, "to")
        )
        found = await turns.run(
            _dry_run, service, authenticated_key(request).workspace, plan, after, until
        )
        return Response(found, media_type="application/json")

    return routes


def _parse_rule(rule: Any) -> RuleDefinition:
    names = {"name", "description", "reason", "id", "version"}
    if isinstance(rule, dict):
        rule = {key: it for key, it in rule.items() if key not in names}
    try:
        return plans.parse_definition(rule)
    except InvalidRequest as error:
        path = "/rule" + error.details.get("path", "")
        raise InvalidRequest(f"{error}", path=path) from None


def _dry_run(
    service: Service, workspace: int, definition: RuleDefinition, after: datetime, until: datetime
) -> bytes:
    first, last = (service.ledger.point_at(workspace, it) for it in (after, until))
    with service.engine.connect() as tx:
        position = common_position(tx, workspace, segments.projection, identity)
        end = 0 if last is None else min(last.position, position)
        start = 0 if first is None else first.position

        def history(streams: Sequence[UUID]) -> Sequence[RecordedEvent]:
            return service.ledger.stream_events(
                workspace, streams, after=0, until=end, limit=MAX_HISTORY_EVENTS
            )

        ledger = HistorySource(
            history,
            partial(service.feed.identity_events_for, workspace),
            partial(service.feed.stream_of, workspace),
        )
        # An event recorded at the very first instant is one of the span.
        span = DryRunPeriod(to_micros(after), to_micros(until), max(start - 1, 0), end)
        found = segments.dry_run_rule(tx, workspace, definition, span, ledger)
        names = query_reader(service, tx, workspace, position)
        sample = [it for it in found.runs if it.outcome == "fired"][:SAMPLE_SIZE]
        people = names.profiles({it.stream for it in sample})
        shown = names.identifiers(people.values())
        answer = _summary(found, position) | {
            "sample": [
                {
                    "profile_id": people[it.stream].id,
                    "identifiers": [one._asdict() for one in shown.get(people[it.stream].id, ())],
                    "cause": it.cause,
                    "at": format_utc(from_micros(it.since.at)),
                    "branch": it.reason,
                }
                for it in sample
            ]
        }
    return msgspec.json.encode(answer)


def _summary(found: SimulatedRuns, position: int) -> dict[str, Any]:
    outcomes = found.outcome_counts
    return {
        "fired": sum(n for (outcome, _), n in outcomes.items() if outcome == "fired"),
        "waiting": sum(n for (outcome, _), n in outcomes.items() if outcome == "waiting"),
        "suppressed": {
            reason: n
            for (outcome, reason), n in sorted(outcomes.items())
            if outcome == "suppressed"
        },
        "days": [{"day": day, "fired": n} for day, n in sorted(found.fired_per_day.items())],
        "people": found.profiles,
        "of": found.candidates,
        "projected_to": position,
    }
