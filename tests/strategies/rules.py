"""Rules with all kinds of triggers, and system events that may trigger them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.builders import tracked
from tests.rule_history import TAG
from tests.segment_history import HistoryEntry, at
from tests.strategies.conditions import conditions, properties, where

spans = st.sampled_from(["60s", "2m", "5m"])
names = st.sampled_from(["a", "b", {"matching": "*"}])
triggers = st.one_of(
    names.map(lambda name: {"event": name}),
    names.map(lambda name: {"event": name}),
    st.sampled_from(
        [
            {"system_event": "sys"},
            {"entered": "tested"},
            {"left": "tested"},
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
    options = {
        "reentry": st.sampled_from(["once", "not_while_waiting", {"once_per": "2m"}]),
        "cap": st.sampled_from([{"times": 1, "per": "5m"}, {"times": 2, "per": "1h"}]),
        "max_age": spans,
        "on_merge": st.just("always"),
    }
    return rule | draw(st.fixed_dictionaries({}, optional=options))


@st.composite
def system_events(draw: st.DrawFn) -> HistoryEntry:
    minute = draw(st.integers(0, 14))
    when = at(draw(st.integers(0, minute)))
    return HistoryEntry(
        minute,
        tracked("sys", identifiers=(), properties=draw(properties), occurred_at=when),
    )
