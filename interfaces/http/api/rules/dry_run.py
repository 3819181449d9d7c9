"""Dry-run route: simulates a rule over past events without recording anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Security
from starlette.requests import Request
from starlette.responses import Response

from domain.core.errors import InvalidRequest
from domain.core.time import format_utc, from_micros, to_micros
from domain.events.recorded import RecordedEvent
from domain.rules import definition as rule_definition
from domain.rules.definition import RuleDefinition
from interfaces.http.api.rules.schemas import DryRunRequest, RuleDryRun
from interfaces.http.kit.auth import authenticated_key, require_key
from interfaces.http.kit.concurrency_limit import ConcurrencyLimit
from interfaces.http.kit.errors import error_responses
from interfaces.http.kit.params import NoParams, openapi_body, params_reader, parse_body
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments
from projections.identity import projection as identity
from projections.kit import instants
from projections.runtime.checkpoint import common_position
from projections.segments.queries.dry_run import (
    SAMPLE_SIZE,
    DryRunPeriod,
    HistorySource,
    SimulatedRuns,
)

PATH = "/v1/rules/dry-run"
MAX_HISTORY_EVENTS = 100_000
"""Maximum events read of one profile; later ones are ignored."""


def dry_run_routes(service: Service) -> APIRouter:
    """Build the route of `/v1/rules/dry-run`."""
    limit = ConcurrencyLimit()
    read_nothing = params_reader(NoParams, PATH)
    routes = APIRouter(
        tags=["rules"], dependencies=[Security(require_key(service.keys, "read", "admin"))]
    )

    @routes.post(
        PATH,
        summary="Dry-run a rule over past events",
        operation_id="dry_run_rule",
        response_model=RuleDryRun,
        responses=error_responses(400, 401, 403, 413, 503),
        openapi_extra=openapi_body(DryRunRequest),
    )
    async def dry_run_rule(request: Request) -> Response:
        read_nothing(request)
        payload = await parse_body(request, DryRunRequest)
        definition = _parse_rule(payload.rule)
        after = instants.parse_instant(payload.from_, UTC, "from")
        until = (
            datetime.now(UTC)
            if payload.to is None
            else instants.parse_instant(payload.to, UTC, "to")
        )
        body = await limit.run(
            _dry_run, service, authenticated_key(request).workspace, definition, after, until
        )
        return Response(body, media_type="application/json")

    return routes


def _parse_rule(rule: Any) -> RuleDefinition:
    metadata = {"name", "description", "reason", "id", "version"}
    if isinstance(rule, dict):
        rule = {key: value for key, value in rule.items() if key not in metadata}
    try:
        return rule_definition.parse_definition(rule)
    except InvalidRequest as error:
        path = "/rule" + error.details.get("path", "")
        raise InvalidRequest(f"{error}", **error.details | {"path": path}) from None


def _dry_run(
    service: Service, workspace: int, definition: RuleDefinition, after: datetime, until: datetime
) -> bytes:
    first, last = (service.ledger.point_at(workspace, instant) for instant in (after, until))
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
        # An event recorded exactly at the start belongs to the period.
        period = DryRunPeriod(to_micros(after), to_micros(until), max(start - 1, 0), end)
        runs = segments.dry_run_rule(tx, workspace, definition, period, ledger)
        reader = QueryReader(service.ledger, tx, workspace, position)
        sample = [run for run in runs.runs if run.outcome == "fired"][:SAMPLE_SIZE]
        profiles = reader.profiles({run.stream for run in sample})
        identifiers = reader.identifiers(profiles.values())
        answer = _summary(runs, position) | {
            "sample": [
                {
                    "profile_id": profiles[run.stream].id,
                    "identifiers": [
                        identifier._asdict()
                        for identifier in identifiers.get(profiles[run.stream].id, ())
                    ],
                    "cause": run.cause,
                    "at": format_utc(from_micros(run.since.at)),
                    "branch": run.reason,
                }
                for run in sample
            ]
        }
    return msgspec.json.encode(answer)


def _summary(runs: SimulatedRuns, position: int) -> dict[str, Any]:
    outcomes = runs.outcome_counts
    return {
        "fired": sum(n for (outcome, _), n in outcomes.items() if outcome == "fired"),
        "waiting": sum(n for (outcome, _), n in outcomes.items() if outcome == "waiting"),
        "suppressed": {
            reason: n
            for (outcome, reason), n in sorted(outcomes.items())
            if outcome == "suppressed"
        },
        "days": [{"day": day, "fired": n} for day, n in sorted(runs.fired_per_day.items())],
        "people": runs.profiles,
        "of": runs.candidates,
        "projected_to": position,
    }
