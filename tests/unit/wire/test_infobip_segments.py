"""Translated Infobip segments: each operator by example, and all against a naive evaluation."""

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


def query(clauses: Any) -> dict:
    return {"query": clauses}


@pytest.mark.parametrize(
    ("clauses", "value", "other"),
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
def test_a_query_of_attributes(clauses, value, other) -> None:
    for city, expected in ((value, True), (other, False)):
        profile = Profile(attributes={} if city is None else {"city": city})
        assert profile.satisfies(translate(query(clauses)), NOON) == expected


def test_tags_and_attribute_names_with_special_characters() -> None:
    vip = Profile(tags=frozenset({"VIP Client"}), attributes={"a b": 1, "a.b": 2})
    assert vip.satisfies(translate(query({"#contains": {"tags": "VIP Client"}})), NOON)
    assert not vip.satisfies(translate(query({"#notContain": {"tags": "VIP Client"}})), NOON)
    assert vip.satisfies(translate(query({"#in": {"tags": ["x", "VIP Client"]}})), NOON)
    assert vip.satisfies(translate(query({"a b": 1, "a.b": 2})), NOON)


def event_condition(
    occurred: str, operator: str, start: Any = None, end: Any = None, **more: Any
) -> dict:
    window = {"occurred": occurred, "operator": operator, "start": start, "end": end}
    return {"definitionId": "e", "timelineCondition": window | {"units": "HOURS"}} | more


@pytest.mark.parametrize(
    "operation", ["IS", "LESS_THAN", "LESS_OR_EQUAL", "GREATER_OR_EQUAL", "GREATER_THAN"]
)
@pytest.mark.parametrize("times", range(5))
def test_each_operation_of_an_occurrence(operation, times) -> None:
    event = event_condition(
        "ALL", "EMPTY", occurrenceCondition={"operation": operation, "times": 2}
    )
    profile = Profile(*(did("e", NOON - age * HOUR) for age in range(times)))
    assert profile.satisfies(translate({"events": [event]}), NOON) == _count_matches(
        operation, times, 2
    )


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
    assert [
        number
        for number in (*holds, *fails)
        if Profile(did("e", n=number)).satisfies(document, NOON)
    ] == holds


def _count_matches(operation: str, times: int, operand: int) -> bool:
    return {
        "IS": times == operand,
        "LESS_THAN": times < operand,
        "LESS_OR_EQUAL": times <= operand,
        "GREATER_OR_EQUAL": times >= operand,
        "GREATER_THAN": times > operand,
    }[operation]


def naive(event: dict, ages: list[int], ahead: timedelta) -> bool:
    """Evaluate an event condition literally.

    ``ages`` are hours before noon; the clock is ``ahead`` of noon.
    """
    window = event["timelineCondition"]
    occurred, operator = window["occurred"], window["operator"]
    occurrence = event["occurrenceCondition"]

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

    operation, times = occurrence["operation"], occurrence["times"]
    if occurred in {"FIRST", "LAST"}:
        selected = (max if occurred == "FIRST" else min)(ages, default=None)
        in_window = operator == "EMPTY" or (selected is not None and inside(selected))
        return _count_matches(operation, len(ages), times) and in_window
    matches = _count_matches(operation, len([age for age in ages if inside(age)]), times)
    return matches != (occurred == "NOT")


START, END = ((NOON - age * HOUR).isoformat() for age in (8, 2))
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
def test_a_translated_event_agrees_with_a_naive_evaluation(
    occurred, window, operation, times, ages, ahead
):
    event = event_condition(
        occurred, *window, occurrenceCondition={"operation": operation, "times": times}
    )
    ages = [age for age in ages if age * HOUR >= -ahead]
    at_least_once = (operation, times) in {("GREATER_OR_EQUAL", 1), ("LESS_THAN", 1)}
    if occurred in {"ALL", "NOT"} and (
        window[0] == "BETWEEN" or (window[0] == "BEFORE" and not at_least_once)
    ):
        with pytest.raises(InvalidRequest) as caught:
            translate({"events": [event]})
        assert caught.value.details["path"] == "/events/0/timelineCondition"
        return
    profile = Profile(*(did("e", NOON - age * HOUR) for age in ages))
    assert profile.satisfies(translate({"events": [event]}), NOON + ahead) == naive(
        event, ages, ahead
    )


def test_units_are_days_hours_and_minutes() -> None:
    for units, span in {"DAYS": days(3), "HOURS": 3 * HOUR, "MINUTES": HOUR / 20}.items():
        event = event_condition("ALL", "AFTER", 3)
        event["timelineCondition"]["units"] = units
        assert Profile(did("e")).around(translate({"events": [event]}), NOON + span) == (
            True,
            False,
            False,
        )


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        ([], ""),
        ({}, ""),
        (query([]), "/query"),
        (
            {"events": [{"definitionId": "e", "occurrenceCondition": {"operation": []}}]},
            "/events/0/occurrenceCondition",
        ),
        ({"events": [event_condition([], "EMPTY")]}, "/events/0/timelineCondition"),
        (query({"#and": [{"a": 1}, {"#like": {"b": 1}}]}), "/query/#and/1/#like"),
        (query({"#or": {"a": 1}}), "/query/#or"),
        (query({"#exists": {"a": 1}}), "/query/#exists"),
        (query({"#lt": {"a": {"#relNow": "P1D"}}}), "/query/#lt/a"),
        (query({"#lt": {"a": {"#relNow": "P-1M"}}}), "/query/#lt/a"),
        (query({"#in": {"a": "x"}}), "/query/#in/a"),
        (query({"#startsWith": {"tags": "x"}}), "/query/#startsWith/tags"),
        ({"events": [{}]}, "/events/0"),
        ({"events": [{"definitionId": "e", "count": 1}]}, "/events/0"),
        ({"events": [event_condition("SOME", "EMPTY")]}, "/events/0/timelineCondition"),
        ({"events": [event_condition("ALL", "DURING", 1)]}, "/events/0/timelineCondition"),
        ({"events": [event_condition("ALL", "AFTER")]}, "/events/0/timelineCondition"),
        ({"events": [event_condition("ALL", "AFTER_ABS", 5)]}, "/events/0/timelineCondition"),
        ({"events": [event_condition("ALL", "BETWEEN", 60, 30)]}, "/events/0/timelineCondition"),
    ],
    ids=repr,
)
def test_an_untranslatable_part_is_rejected_with_its_json_pointer(document, pointer) -> None:
    with pytest.raises(InvalidRequest) as caught:
        translate(document)
    assert caught.value.details["path"] == pointer
