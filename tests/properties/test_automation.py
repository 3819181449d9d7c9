"""What a rule does is what the oracle says: set off, waiting, fired, and every time that it was not."""

from __future__ import annotations

from uuid import UUID

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from domain.core.time import to_micros
from domain.events.rule_events import RuleDefined, RuleDisabled, RuleEnabled
from tests import examples
from tests.builders import tracked, user
from tests.fix_segments import Kept
from tests.oracles import rules as rules_oracle
from tests.rule_history import RULE, TAG, decree, triggers_of
from tests.segment_history import LAST, LISTS, START, Decided, Said, at, defined, ledger
from tests.strategies.conditions import conditions
from tests.strategies.rules import announcements, rules
from tests.strategies.segment_histories import histories

RENAMED = [
    Said(0, tracked("a", user("a"), occurred_at=START)),
    Said(0, tracked("alias", user("b"), kind="alias", absorbs=(user("a"),), occurred_at=START)),
]
"""Somebody who is known gets another name: nobody is created."""


@examples.on_one_database(0.12)
@example(
    rule={"trigger": {"profile": "created"}, "actions": TAG},
    document={"event": "a", "count": {"at_least": 0}},
    history=RENAMED,
    announced=[],
    places=(0.0, 0.0, 0.0),
    size=1,
)
@given(
    rule=rules(),
    document=conditions,
    history=histories(),
    announced=st.lists(announcements(), max_size=2),
    places=st.tuples(*[st.floats(0, 1)] * 3),
    size=st.integers(1, 6),
)
def test_a_rule_does_what_the_oracle_says(
    kept: Kept, rule, document, history, announced, places, size
) -> None:
    history = sorted([*history, *announced], key=lambda it: it.minute)
    made = RuleDefined(
        id=UUID(int=0), rule=RULE, name=RULE, plan=msgspec.json.encode(rule), occurred_at=START
    )
    decisions = [Decided(made, UUID(int=8)), decree(RuleEnabled, 2), decree(RuleDisabled, 3)]
    if places[0] < 0.5:
        decisions.pop()
    whole = [*(Said(0, defined(it, None)) for it in LISTS)]
    cuts = sorted(round(it * len(history)) for it in places)
    asked = round(places[1] * len(history))
    if rule["trigger"].keys() & {"entered", "left"}:
        asked = min(asked, cuts[0])
    for number in range(len(history) + 1):
        minute = history[number - 1].minute if number else 0
        if number == asked:
            whole.append(Said(minute, defined("asked", document)))
        for cut, decision in zip(cuts, decisions, strict=False):
            if cut == number:
                whole.append(Said(minute, decision))
        whole += history[number : number + 1]
    versions = {}
    records = []
    for it in ledger(whole):
        versions[it.stream] = versions.get(it.stream, 0) + 1
        records.append(it._replace(version=versions[it.stream]))
    end = to_micros(at(LAST))
    wanted = rules_oracle.Automation(rule, 1, records).play(end)
    workspace = kept.project(records, 4_000)
    assert triggers_of(kept, workspace) == wanted
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)
