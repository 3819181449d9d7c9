"""The fold of segments plans, loads, evaluates and writes, without going back and forth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain.events.rule_events import RuleEnabled
from projections import segments, timeline
from projections.runtime.projector import Projector
from tests.builders import anonymous, tracked, user
from tests.call_trace import returns
from tests.fix_segments import SegmentBench
from tests.rule_history import TAG, rule_defined, rule_event
from tests.segment_history import HistoryEntry, at, defined, ledger

MAX_RETURNS = 25

CONDITIONS = (
    {"event": "paid"},
    {"event": "paid", "count": {"at_least": 2}, "within": {"last": "1h"}},
    {"event": "seen", "occurrence": "last", "older_than": "10m"},
    {"all": [{"segment": "s-0"}, {"identifier": "anonymous_id", "present": True}]},
)
DEFINITION = {"trigger": {"event": "paid"}, "audience": {"event": "seen"}, "actions": TAG}
DEFINED_RULE = rule_defined(DEFINITION)


def test_a_batch_returns_to_few_packages_that_it_had_left(segment_bench: SegmentBench) -> None:
    definitions = [
        *(
            HistoryEntry(0, defined(f"s-{number}", condition))
            for number, condition in enumerate(CONDITIONS)
        ),
        HistoryEntry(0, DEFINED_RULE),
        HistoryEntry(0, rule_event(RuleEnabled, 2)),
    ]
    events = [HistoryEntry(number, _event(number)) for number in range(1, 60)]
    records = [
        record._replace(version=n) for n, record in enumerate(ledger([*definitions, *events]), 1)
    ]
    segment_bench.feed.workspaces[1] = records[: len(definitions)]
    segment_bench.projector.catch_up(1)
    traces: list[list[tuple[str, str]]] = []

    def traced(*args: Any) -> None:
        traces.append(returns(lambda: segments.projection.apply(*args)))

    read_models = (timeline.projection, replace(segments.projection, apply=traced))
    segment_bench.feed.workspaces[1] = records
    Projector(segment_bench.feed, segment_bench.engine, read_models).catch_up(1)

    [found] = traces
    assert len({interval.segment for interval in segment_bench.intervals(1)}) == len(CONDITIONS)
    assert len(found) < MAX_RETURNS, "\n".join([str(len(found)), *map(" -> ".join, found)])


def _event(number: int) -> Any:
    """Links a new identifier every fifth time."""
    linked = [anonymous(f"a-{number}")] if number % 5 == 0 else []
    name = "paid" if number % 3 else "seen"
    return tracked(name, user(f"u-{number % 7}"), *linked, occurred_at=at(number))
