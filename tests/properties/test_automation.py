"""Every run of a rule, and its outcome, equals what the oracle says."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from domain.core.time import to_micros
from domain.events.rule_events import RuleDisabled, RuleEnabled
from tests import examples
from tests.builders import tracked, user
from tests.fix_segments import SegmentBench
from tests.oracles import rules as rules_oracle
from tests.rule_history import TAG, outcomes_by_cause, rule_defined, rule_event
from tests.segment_history import (
    LAST_MINUTE,
    LISTS,
    START,
    HistoryEntry,
    at,
    defined,
    ledger,
)
from tests.strategies.conditions import conditions
from tests.strategies.rules import rules, system_events
from tests.strategies.segment_histories import histories

RENAMED = [
    HistoryEntry(0, tracked("a", user("a"), occurred_at=START)),
    HistoryEntry(
        0, tracked("alias", user("b"), kind="alias", absorbs=(user("a"),), occurred_at=START)
    ),
]
"""A known profile gets another identifier: no profile is created."""


@examples.on_one_database(0.12)
@example(
    rule={"trigger": {"profile": "created"}, "actions": TAG},
    document={"event": "a", "count": {"at_least": 0}},
    history=RENAMED,
    system_events_sent=[],
    places=(0.0, 0.0, 0.0),
    size=1,
)
@given(
    rule=rules(),
    document=conditions,
    history=histories(),
    system_events_sent=st.lists(system_events(), max_size=2),
    places=st.tuples(*[st.floats(0, 1)] * 3),
    size=st.integers(1, 6),
)
def test_a_rule_does_what_the_oracle_says(
    segment_bench: SegmentBench, rule, document, history, system_events_sent, places, size
) -> None:
    history = sorted([*history, *system_events_sent], key=lambda entry: entry.minute)
    defined_rule = rule_defined(rule)
    decisions = [
        defined_rule,
        rule_event(RuleEnabled, 2),
        rule_event(RuleDisabled, 3),
    ]
    if places[0] < 0.5:
        decisions.pop()
    whole = [HistoryEntry(0, defined(segment, None)) for segment in LISTS]
    cuts = sorted(round(place * len(history)) for place in places)
    defined_after = round(places[1] * len(history))
    if rule["trigger"].keys() & {"entered", "left"}:
        defined_after = min(defined_after, cuts[0])
    for number in range(len(history) + 1):
        minute = history[number - 1].minute if number else 0
        if number == defined_after:
            whole.append(HistoryEntry(minute, defined("tested", document)))
        for cut, decision in zip(cuts, decisions, strict=False):
            if cut == number:
                whole.append(HistoryEntry(minute, decision))
        whole += history[number : number + 1]
    versions = {}
    records = []
    for record in ledger(whole):
        versions[record.stream] = versions.get(record.stream, 0) + 1
        records.append(record._replace(version=versions[record.stream]))
    end = to_micros(at(LAST_MINUTE))
    expected = rules_oracle.Automation(rule, 1, records).play(end)
    workspace = segment_bench.project(records, 4_000)
    assert outcomes_by_cause(segment_bench, workspace) == expected
    in_batches = segment_bench.project(records, size)
    assert segment_bench.rows(in_batches) == segment_bench.rows(workspace)
