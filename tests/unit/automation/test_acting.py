"""What a rule decides, at the ends that no history of a few events comes to."""

from __future__ import annotations

from uuid import UUID

import msgspec

from domain.conditions import EventView
from domain.core.ledger_time import Cause
from domain.evaluation import rule_runner
from domain.evaluation.engine import Evaluator
from domain.evaluation.inputs import EventInput
from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.evaluation.segment_index import SegmentIndex
from domain.rules import definition
from projections.segments.inputs import rule_depth
from tests.builders import tracked, user
from tests.integration.projections.history import recorded

HOUR = 3_600_000_000
STREAM = UUID(int=1)
TAG = [{"add_tag": {"tag": "x"}}]


def people(**more) -> Evaluator:
    read = definition.parse_definition({"trigger": {"event": "a"}, "actions": TAG} | more)
    return Evaluator(SegmentIndex([], rule_index=RuleIndex([ActiveRule("r", 1, read)])), {})


def did(at: int, depth: int = 0) -> EventInput:
    happened = EventView(at, at.to_bytes(16), "a", {"properties": {"n": at}})
    return EventInput(Cause(at, at), STREAM, "user_id", "track", happened, depth)


def outcomes(one: Evaluator) -> list[tuple[str, str]]:
    runs = sorted(one.rule_runner.changed_runs.values(), key=lambda it: it.started)
    return [(it.outcome, it.reason) for it in runs]


def test_rules_that_lead_to_one_another_come_to_an_end() -> None:
    one = people()
    one.process([did(1, rule_runner.MAX_RULE_DEPTH - 1), did(2, rule_runner.MAX_RULE_DEPTH)], 3)
    assert outcomes(one) == [("fired", "at_once"), ("suppressed", "too_deep")]


def test_nobody_waits_in_a_rule_without_end(monkeypatch) -> None:
    monkeypatch.setattr(rule_runner, "MAX_WAITING_RUNS", 2)
    one = people(delay="1h")
    one.process([did(1), did(2), did(3), did(HOUR + 1)], 2 * HOUR)
    waited = ("fired", "delayed")
    assert outcomes(one) == [waited, waited, ("suppressed", "too_many"), ("waiting", "delay")]


def test_a_cap_counts_what_fired_and_not_what_waits() -> None:
    one = people(delay="1h", cap={"times": 1, "per": "1h"})
    one.process([did(1), did(2), did(HOUR + 1)], 3 * HOUR)
    fired = ("fired", "delayed")
    assert outcomes(one) == [fired, ("suppressed", "cap"), fired]


def test_only_what_actions_recorded_has_a_depth() -> None:
    said = {"type": "track", "event": "a", "context": {"foldline": {"rule": "r", "depth": 3}}}
    for source, depth in (("foldline", 3), ("segment", 0)):
        message = tracked("a", user(), source=source)
        [one] = recorded([msgspec.structs.replace(message, payload=msgspec.json.encode(said))])
        assert rule_depth(one.event) == depth
    [odd] = recorded([tracked("a", user(), source="foldline", payload=b'{"context": 1}')])
    assert rule_depth(odd.event) == 0
