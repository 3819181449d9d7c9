"""Dry run: simulates a rule over past events without recording anything."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from domain.core.errors import InvalidRequest
from domain.core.time import format_utc, from_micros, to_micros
from domain.events.recorded import RecordedEvent
from domain.rules import definition as rule_definition
from domain.rules.definition import RuleDefinition
from interfaces.http.api.rules.schemas import DryRunRequest, RuleDryRun
from interfaces.http.api.segments.preview import sample_json
from interfaces.http.questions import Answer, Question
from interfaces.query_reader import QueryReader
from interfaces.service import Service
from projections import segments
from projections.kit import instants
from projections.segments.queries.dry_run import (
    SAMPLE_SIZE,
    DryRunPeriod,
    HistorySource,
    SimulatedRuns,
)

MAX_HISTORY_EVENTS = 100_000
"""Maximum events read of one profile; later ones are ignored."""


def _prepare(service: Service, _workspace: int, payload: DryRunRequest) -> Answer:
    definition = _parse_rule(payload.rule)
    after = instants.parse_instant(payload.from_, UTC, "from")
    until = (
        datetime.now(UTC) if payload.to is None else instants.parse_instant(payload.to, UTC, "to")
    )
    return partial(_dry_run, service, definition, after, until)


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
    service: Service,
    definition: RuleDefinition,
    after: datetime,
    until: datetime,
    reader: QueryReader,
) -> dict[str, Any]:
    workspace, position = reader.workspace, reader.projected_to
    first, last = (service.ledger.point_at(workspace, instant) for instant in (after, until))
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
    runs = segments.dry_run_rule(reader.tx, workspace, definition, period, ledger)
    return {**_summary(runs), "sample": _sample(reader, runs)}


def _sample(reader: QueryReader, runs: SimulatedRuns) -> list[dict[str, Any]]:
    fired = [run for run in runs.runs if run.outcome == "fired"][:SAMPLE_SIZE]
    profile_ids = reader.profile_ids({run.stream for run in fired})
    profiles = {p["profile_id"]: p for p in sample_json(reader, set(profile_ids.values()))}
    return [
        {
            **profiles[profile_ids[run.stream]],
            "cause": run.cause,
            "at": format_utc(from_micros(run.since.at)),
            "branch": run.reason,
        }
        for run in fired
    ]


def _summary(runs: SimulatedRuns) -> dict[str, Any]:
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
    }


DRY_RUN = Question(
    "/v1/rules/dry-run",
    "dry_run_rule",
    "Dry-run a rule over past events",
    "rules",
    payload=DryRunRequest,
    answer=RuleDryRun,
    read_models=(segments.projection,),
    prepare=_prepare,
)
