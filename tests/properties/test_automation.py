"""What a rule does is what the oracle says: set off, waiting, fired, and every time that it was not."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.core.time import to_micros
from domain.events.rule_events import RuleDefined, RuleDisabled, RuleEnabled
from projections.segments import tables
from tests import automation_oracle
from tests.builders import tracked, user
from tests.properties.test_conditions import conditions, properties, where
from tests.properties.test_segments import (
    LAST,
    LISTS,
    START,
    Decided,
    Kept,
    Said,
    alone,
    at,
    defined,
    histories,
    kept,
    ledger,
)

__all__ = ["kept"]

RULE = "r"
TAG = [{"add_tag": {"tag": "x"}}]
spans = st.sampled_from(["60s", "2m", "5m"])
names = st.sampled_from(["a", "b", {"matching": "*"}])
triggers = st.one_of(
    names.map(lambda it: {"event": it}),
    names.map(lambda it: {"event": it}),
    st.sampled_from(
        [
            {"system_event": "sys"},
            {"entered": "asked"},
            {"left": "asked"},
            {"attribute_changed": "n"},
            {"profile": "created"},
            {"profile": "merged"},
        ]
    ),
)
fields = st.builds(
    lambda op, path: {"attribute": "n", "op": op, "value": {"$field": path}},
    st.sampled_from(["eq", "ne"]),
    st.sampled_from(["properties.n", "value"]),
)
waits = st.builds(
    lambda event, timeout, match, ends: {"event": event, "timeout": timeout} | match | ends,
    names,
    spans,
    st.sampled_from([{}, {"match": "properties.n"}]),
    st.sampled_from([{"then": TAG}, {"else": TAG}, {"then": TAG, "else": TAG}]),
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    trigger = draw(triggers)
    rule: dict[str, Any] = {"trigger": trigger}
    if "event" in trigger:
        rule["where"] = draw(where)
    if "system_event" in trigger or draw(st.booleans()):
        rule["audience"] = draw(st.one_of(conditions, fields, st.just({"all": []})))
    if draw(st.booleans()):
        rule["delay"] = draw(spans)
    if draw(st.booleans()):
        rule["wait"] = draw(waits)
        if not trigger.keys() & {"event", "system_event"}:
            rule["wait"].pop("match", None)
    else:
        rule["actions"] = TAG
    more = {
        "reentry": st.sampled_from(["once", "not_while_waiting", {"once_per": "2m"}]),
        "cap": st.sampled_from([{"times": 1, "per": "5m"}, {"times": 2, "per": "1h"}]),
        "max_age": spans,
        "on_merge": st.just("always"),
    }
    return rule | draw(st.fixed_dictionaries({}, optional=more))


def decree(kind, version: int) -> Decided:
    return Decided(kind(id=UUID(int=0), rule=RULE, occurred_at=START), UUID(int=8))


@st.composite
def announcements(draw: st.DrawFn) -> Said:
    minute = draw(st.integers(0, 14))
    when = at(draw(st.integers(0, minute)))
    return Said(
        minute,
        tracked("sys", identifiers=(), properties=draw(properties), occurred_at=when),
    )


RENAMED = [
    Said(0, tracked("a", user("a"), occurred_at=START)),
    Said(0, tracked("alias", user("b"), kind="alias", absorbs=(user("a"),), occurred_at=START)),
]
"""Somebody who is known gets another name: nobody is created."""


@settings(alone, max_examples=120)
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
    wanted = automation_oracle.Automation(rule, 1, records).play(end)
    workspace = kept.project(records, 4_000)
    assert triggers_of(kept, workspace) == wanted
    other = kept.project(records, size)
    assert kept.rows(other) == kept.rows(workspace)


def triggers_of(kept: Kept, workspace: int) -> dict[str, tuple[str, str]]:
    with kept.engine.connect() as tx:
        found = tx.execute(tables.trigger.select().where(tables.trigger.c.workspace == workspace))
        return {it.cause: (it.outcome, it.reason) for it in found}
