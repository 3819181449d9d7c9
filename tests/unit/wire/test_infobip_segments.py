"""Infobip's segments mean as conditions what they say: each operator by name, and all against a naive reading."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.core.errors import InvalidRequest
from domain.core.time import MICROSECOND
from interfaces.translators.infobip.segments import translate
from tests import examples
from tests.unit.conditions.profile_histories import NOON, Profile, days, did

HOUR = timedelta(hours=1)


def query(asked: Any) -> dict:
    return {"query": asked}


@pytest.mark.parametrize(
    ("asked", "value", "other"),
    [
        ({"city": "Zagreb"}, "Zagreb", "Split"),
        ({"#eq": {"city": "Zagreb"}}, "Zagreb", None),
        ({"#ne": {"city": "Zagreb"}}, None, "Zagreb"),
        ({"#lt": {"city": 5}}, 4, 5),
        ({"#lte": {"city": 5}}, 5, 6),
        ({"#gt": {"city": 5}}, 6, 5),
        ({"#gte": {"city": 5}}, 5, "5"),
        ({"#in": {"city": ["a", "b"]}}, "b", "c"),
        ({"#notIn": {"city": ["a", "b"]}}, "c", "b"),
        ({"#contains": {"city": "agre"}}, "Zagreb", "Split"),
        ({"#notContain": {"city": "agre"}}, "Split", "Zagreb"),
        ({"#startsWith": {"city": "Za"}}, "Zagreb", "aZa"),
        ({"#endsWith": {"city": "eb"}}, "Zagreb", "ebe"),
        ({"#exists": "city"}, "", None),
        ({"#notExist": "city"}, None, "x"),
        ({"#and": [{"#gt": {"city": 1}}, {"#lt": {"city": 3}}]}, 2, 3),
        ({"#or": [{"city": 1}, {"city": 3}]}, 3, 2),
        ({"#lt": {"city": "1987-07-10"}}, "1987-07-09", "1987-07-10"),
        ({"#lte": {"city": "1987-07-10"}}, "1987-07-10", "not a date"),
        ({"#gte": {"city": "1987-07-10"}}, "1987-07-10", "1987-07-09"),
        ({"#lt": {"city": {"#relNow": "P-1D"}}}, "2026-02-28T11:59:59Z", "2026-02-28T12:00:00Z"),
        ({"#gte": {"city": {"#relNow": "P-1D"}}}, "2026-02-28T12:00:00Z", "2026-02-28T11:59:59Z"),
        ({"#gt": {"city": {"#relNow": "PT-2H"}}}, "2026-03-01T10:00:01Z", "2026-03-01T10:00:00Z"),
        ({"#eq": {"city": {"#relNow": "P-1W"}}}, "2026-02-22", "2026-02-21"),
        ({"#eq": {"customAttributes": {"city": "x"}}}, "x", "y"),
    ],
    ids=repr,
)
def test_a_query_of_attributes(asked, value, other) -> None:
    for said, holds in ((value, True), (other, False)):
        person = Profile(attributes={} if said is None else {"city": said})
        assert person.satisfies(translate(query(asked)), NOON) == holds


def test_tags_and_names_of_all_kinds() -> None:
    vip = Profile(tags=frozenset({"VIP Client"}), attributes={"a b": 1, "a.b": 2})
    assert vip.satisfies(translate(query({"#contains": {"tags": "VIP Client"}})), NOON)
    assert not vip.satisfies(translate(query({"#notContain": {"tags": "VIP Client"}})), NOON)
    assert vip.satisfies(translate(query({"#in": {"tags": ["x", "VIP Client"]}})), NOON)
    assert vip.satisfies(translate(query({"a b": 1, "a.b": 2})), NOON)


def asked(which: str, operator: str, start: Any = None, end: Any = None, **more: Any) -> dict:
    window = {"occurred": which, "operator": operator, "start": start, "end": end}
    return {"definitionId": "e", "timelineCondition": window | {"units": "HOURS"}} | more


@pytest.mark.parametrize(
    "operation", ["IS", "LESS_THAN", "LESS_OR_EQUAL", "GREATER_OR_EQUAL", "GREATER_THAN"]
)
@pytest.mark.parametrize("times", range(5))
def test_each_operation_of_an_occurrence(operation, times) -> None:
    event = asked("ALL", "EMPTY", occurrenceCondition={"operation": operation, "times": 2})
    person = Profile(*(did("e", NOON - it * HOUR) for it in range(times)))
    assert person.satisfies(translate({"events": [event]}), NOON) == _often(operation, times, 2)


@pytest.mark.parametrize(
    ("operator", "value", "holds", "fails"),
    [
        ("EQ", "10", [10, "10"], [11, "x", None]),
        ("NE", "10", [11, "x"], [10, "10"]),
        ("LT", "10", [9.5], [10, "9"]),
        ("LTE", "10", [10], [10.5]),
        ("GT", "10", [11], [10]),
        ("GTE", "10", [10], [9]),
        ("SW", "ab", ["abc"], ["cab", 1]),
        ("EW", "ab", ["cab"], ["abc"]),
        ("CON", "b", ["abc"], ["ac"]),
        ("LT", "2026-01-01", ["2025-12-31T23:59:59Z"], ["2026-01-01T00:00:00Z"]),
    ],
)
def test_each_operator_of_a_payload(operator, value, holds, fails) -> None:
    tests = [{"attribute": "n", "operator": operator, "value": value}]
    document = translate({"events": [{"definitionId": "e", "payloadConditions": tests}]})
    assert [it for it in (*holds, *fails) if Profile(did("e", n=it)).satisfies(document, NOON)] == holds


def _often(operation: str, times: int, wanted: int) -> bool:
    return {
        "IS": times == wanted,
        "LESS_THAN": times < wanted,
        "LESS_OR_EQUAL": times <= wanted,
        "GREATER_OR_EQUAL": times >= wanted,
        "GREATER_THAN": times > wanted,
    }[operation]


def naive(event: dict, ages: list[int], ahead: timedelta) -> bool:
    """Read an event's condition word for word; ages are hours before noon, the clock is ahead of it."""
    window = event["timelineCondition"]
    which, operator = window["occurred"], window["operator"]
    often = event["occurrenceCondition"]

    def inside(age: int) -> bool:
        at, now = NOON - age * HOUR, NOON + ahead
        if operator == "EMPTY":
            return True
        start, end = window["start"], window["end"]
        if operator.endswith("_ABS"):
            after = operator == "BEFORE_ABS" or at >= NOON - 8 * HOUR
            return after and (operator == "AFTER_ABS" or at < NOON - 2 * HOUR)
        newer = operator == "BEFORE" or at > now - start * HOUR
        return newer and (operator == "AFTER" or at <= now - end * HOUR)

    if which in {"FIRST", "LAST"}:
        one = (max if which == "FIRST" else min)(ages, default=None)
        counted = _often(often["operation"], len(ages), often["times"])
        return counted and (operator == "EMPTY" or (one is not None and inside(one)))
    held = _often(often["operation"], len([it for it in ages if inside(it)]), often["times"])
    return held != (which == "NOT")


START, END = ((NOON - it * HOUR).isoformat() for it in (8, 2))
windows = st.sampled_from(
    [
        ("EMPTY", None, None),
        ("AFTER", 6, None),
        ("BEFORE", None, 3),
        ("BETWEEN", 6, 3),
        ("AFTER_ABS", START, None),
        ("BEFORE_ABS", None, END),
        ("BETWEEN_ABS", START, END),
    ]
)


@examples.share(0.5)
@given(
    st.sampled_from(["ALL", "FIRST", "LAST", "NOT"]),
    windows,
    st.sampled_from(["IS", "LESS_THAN", "LESS_OR_EQUAL", "GREATER_OR_EQUAL", "GREATER_THAN"]),
    st.integers(1, 3),
    st.lists(st.integers(0, 10), max_size=4),
    st.sampled_from([timedelta(), -MICROSECOND, HOUR, HOUR - MICROSECOND, 5 * HOUR]),
)
def test_a_translated_event_agrees_with_a_naive_reading(which, window, how, times, ages, ahead):
    event = asked(which, *window, occurrenceCondition={"operation": how, "times": times})
    ages = [it for it in ages if it * HOUR >= -ahead]
    at_least_once = (how, times) in {("GREATER_OR_EQUAL", 1), ("LESS_THAN", 1)}
    if which in {"ALL", "NOT"} and (
        window[0] == "BETWEEN" or (window[0] == "BEFORE" and not at_least_once)
    ):
        with pytest.raises(InvalidRequest) as refused:
            translate({"events": [event]})
        assert refused.value.details["path"] == "/events/0/timelineCondition"
        return
    person = Profile(*(did("e", NOON - age * HOUR) for age in ages))
    assert person.satisfies(translate({"events": [event]}), NOON + ahead) == naive(event, ages, ahead)


def test_units_are_days_hours_and_minutes() -> None:
    for units, span in {"DAYS": days(3), "HOURS": 3 * HOUR, "MINUTES": HOUR / 20}.items():
        event = asked("ALL", "AFTER", 3)
        event["timelineCondition"]["units"] = units
        assert Profile(did("e")).around(translate({"events": [event]}), NOON + span) == (
            True,
            False,
            False,
        )


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ([], ""),
        ({}, ""),
        (query([]), "/query"),
        (
            {"events": [{"definitionId": "e", "occurrenceCondition": {"operation": []}}]},
            "/events/0/occurrenceCondition",
        ),
        ({"events": [asked([], "EMPTY")]}, "/events/0/timelineCondition"),
        (query({"#and": [{"a": 1}, {"#like": {"b": 1}}]}), "/query/#and/1/#like"),
        (query({"#or": {"a": 1}}), "/query/#or"),
        (query({"#exists": {"a": 1}}), "/query/#exists"),
        (query({"#lt": {"a": {"#relNow": "P1D"}}}), "/query/#lt/a"),
        (query({"#lt": {"a": {"#relNow": "P-1M"}}}), "/query/#lt/a"),
        (query({"#in": {"a": "x"}}), "/query/#in/a"),
        (query({"#startsWith": {"tags": "x"}}), "/query/#startsWith/tags"),
        ({"events": [{}]}, "/events/0"),
        ({"events": [{"definitionId": "e", "count": 1}]}, "/events/0"),
        ({"events": [asked("SOME", "EMPTY")]}, "/events/0/timelineCondition"),
        ({"events": [asked("ALL", "DURING", 1)]}, "/events/0/timelineCondition"),
        ({"events": [asked("ALL", "AFTER")]}, "/events/0/timelineCondition"),
        ({"events": [asked("ALL", "AFTER_ABS", 5)]}, "/events/0/timelineCondition"),
        ({"events": [asked("ALL", "BETWEEN", 60, 30)]}, "/events/0/timelineCondition"),
    ],
    ids=repr,
)
def test_what_cannot_be_translated_is_refused_with_its_place(document, place) -> None:
    with pytest.raises(InvalidRequest) as refused:
        translate(document)
    assert refused.value.details["path"] == place
