"""Limits of the rule runner that short histories do not reach."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.conditions import EventView
from domain.core.ledger_time import Cause
from domain.evaluation import rule_runner
from domain.evaluation.engine import EvaluationEngine
from domain.evaluation.inputs import EventInput
from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.evaluation.segment_index import SegmentIndex
from domain.rules.definition import MAX_RULE_DEPTH, parse_definition
from projections.segments.inputs import rule_depth
from tests.builders import tracked, user
from tests.integration.projections.history import recorded

HOUR = 3_600_000_000
STREAM = UUID(int=1)
TAG = [{"add_tag": {"tag": "x"}}]


def engine_with_rule(**fields) -> EvaluationEngine:
    definition = parse_definition({"trigger": {"event": "a"}, "actions": TAG} | fields)
    return EvaluationEngine(
        SegmentIndex.build([], rule_index=RuleIndex([ActiveRule("r", 1, definition)])), {}
    )


def event_at(at: int, depth: int = 0) -> EventInput:
    event = EventView(at, at.to_bytes(16), "a", {"properties": {"n": at}})
    return EventInput(Cause(at, at), STREAM, "user_id", "track", event, depth)


def outcomes(engine: EvaluationEngine) -> list[tuple[str, str]]:
    runs = sorted(engine.rule_runner.changed_runs.values(), key=lambda run: run.started)
    return [(run.outcome, run.reason) for run in runs]


def test_a_chain_of_rules_that_trigger_each_other_ends() -> None:
    engine = engine_with_rule()
    engine.evaluate([event_at(1, MAX_RULE_DEPTH - 1), event_at(2, MAX_RULE_DEPTH)], 3)
    assert outcomes(engine) == [("fired", "at_once"), ("suppressed", "too_deep")]


def test_the_number_of_waiting_runs_per_profile_is_limited(monkeypatch) -> None:
    monkeypatch.setattr(rule_runner, "MAX_WAITING_RUNS", 2)
    engine = engine_with_rule(delay="1h")
    engine.evaluate([event_at(1), event_at(2), event_at(3), event_at(HOUR + 1)], 2 * HOUR)
    delayed = ("fired", "delayed")
    assert outcomes(engine) == [
        delayed,
        delayed,
        ("suppressed", "too_many"),
        ("waiting", "delay"),
    ]


def test_a_cap_counts_firings_and_not_waiting_runs() -> None:
    engine = engine_with_rule(delay="1h", cap={"times": 1, "per": "1h"})
    engine.evaluate([event_at(1), event_at(2), event_at(HOUR + 1)], 3 * HOUR)
    fired = ("fired", "delayed")
    assert outcomes(engine) == [fired, ("suppressed", "cap"), fired]


def test_only_events_recorded_by_actions_have_a_depth() -> None:
    payload = {"type": "track", "event": "a", "context": {"foldline": {"rule": "r", "depth": 3}}}
    for source, depth in (("foldline", 3), ("segment", 0)):
        message = tracked("a", user(), source=source)
        [record] = recorded(
            [msgspec.structs.replace(message, payload=msgspec.json.encode(payload))]
        )
        assert rule_depth(record.event) == depth
    [record] = recorded([tracked("a", user(), source="foldline", payload=b'{"context": 1}')])
    assert rule_depth(record.event) == 0
