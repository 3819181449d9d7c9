"""A system event reaches its audience, including profiles with events from before the rule."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events.rule_events import RuleEnabled
from tests.builders import tracked
from tests.fix_segments import SegmentBench
from tests.rule_history import TAG, outcomes_by_cause, rule_defined, rule_event
from tests.segment_history import IDENTIFIERS, HistoryEntry, at, defined, ledger

BOUGHT = {"event": "bought"}


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("audience", [BOUGHT, {"segment": "buyers"}])
def test_an_audience_includes_profiles_with_events_from_before_the_rule(
    segment_bench: SegmentBench, audience: Any, size: int
) -> None:
    definition = {
        "trigger": {"system_event": "sale"},
        "audience": audience,
        "actions": TAG,
    }
    defined_rule = rule_defined(definition)
    buyer, other = IDENTIFIERS[:2]
    history = [
        HistoryEntry(0, tracked("bought", buyer, occurred_at=at(0))),
        HistoryEntry(0, tracked("looked", other, occurred_at=at(0))),
        HistoryEntry(1, defined("buyers", BOUGHT)),
        HistoryEntry(1, defined_rule),
        HistoryEntry(1, rule_event(RuleEnabled, 2)),
        HistoryEntry(2, tracked("sale", identifiers=(), occurred_at=at(2))),
    ]
    records = [record._replace(version=n) for n, record in enumerate(ledger(history), 1)]
    outcomes = outcomes_by_cause(segment_bench, segment_bench.project(records, size))
    assert [outcome for outcome, _ in outcomes.values()] == ["fired"]
