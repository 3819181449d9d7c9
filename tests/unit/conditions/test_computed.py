"""Computed attributes and scores: the value of each function, and when it changes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from domain.conditions import (
    EvaluationInput,
    EventView,
    ProfileFacts,
    parse_condition,
)
from domain.core.errors import InvalidRequest
from tests.leaves import Leaves
from tests.unit.conditions.profile_histories import NOON, Profile, days, did

ORDERS = Profile(
    did("order", NOON - days(20), total=0.1, shop="Split"),
    did("order", NOON - days(10), total=0.2, shop="Zagreb"),
    did("order", NOON, shop="Zagreb"),
)


def computed(fn: str, path: str | None = None, **members: object) -> dict:
    return {"fn": fn, "event": "order"} | ({"path": f"properties.{path}"} if path else {}) | members


@pytest.mark.parametrize(
    ("definition", "value"),
    [
        (computed("count"), 3),
        (computed("sum", "total"), 0.3),
        (computed("avg", "total"), 0.15),
        (computed("min", "total"), 0.1),
        (computed("max", "total"), 0.2),
        (computed("first", "shop"), "Split"),
        (computed("last", "shop"), "Zagreb"),
        (computed("last", "total"), 0.2),
        (computed("distinct", "shop"), 2),
    ],
    ids=repr,
)
def test_each_function_gives_its_value(definition, value) -> None:
    assert ORDERS.satisfies({"computed": definition, "op": "eq", "value": value}, NOON)
    assert not ORDERS.satisfies({"computed": definition, "op": "ne", "value": value}, NOON)


def test_without_events_counts_and_sums_are_0_and_the_others_have_no_value() -> None:
    for fn in ("sum", "distinct"):
        condition = {"computed": computed(fn, "total"), "op": "eq", "value": 0}
        assert Profile().satisfies(condition, NOON)
    for fn in ("avg", "min", "max", "first", "last"):
        assert Profile().satisfies({"computed": computed(fn, "total"), "op": "not_exists"}, NOON)


def test_the_first_value_within_a_window_changes_when_its_event_leaves() -> None:
    definition = computed("first", "shop", within={"last": "30d"})
    condition = {"computed": definition, "op": "eq", "value": "Split"}
    assert ORDERS.around(condition, NOON + days(10)) == (True, False, False)
    assert ORDERS.around({"computed": definition, "op": "exists"}, NOON + days(30)) == (
        True,
        False,
        False,
    )


def test_a_last_value_that_is_a_time_changes_as_the_clock_passes_it() -> None:
    profile = Profile(did("order", due="2026-03-02T12:00:00Z"))
    condition = {"computed": computed("last", "due"), "op": "after", "value": {"ago": "1d"}}
    assert profile.around(condition, NOON + days(2)) == (True, False, False)


def test_of_two_events_at_one_instant_the_id_decides_in_any_order() -> None:
    leaves = Leaves(
        parse_condition({"computed": computed("last", "shop"), "op": "eq", "value": "b"})
    )
    [(key, add)] = leaves.add_functions.items()
    first = EventView(1, b"1", "order", {"properties": {"shop": "a"}})
    second = EventView(1, b"2", "order", {"properties": {"shop": "b"}})
    for order in ((first, second), (second, first)):
        summary = None
        for event in order:
            summary = add(summary, event)
        assert leaves.condition.holds(EvaluationInput({key: summary}), 1)


def test_all_comparisons_of_a_computed_attribute_share_one_summary() -> None:
    definition = computed("count")
    document = {"any": [{"computed": definition, "op": "eq", "value": value} for value in range(5)]}
    assert len(Leaves(parse_condition(document)).by_key) == 1


SCORE = [
    {"when": {"event": "order", "within": {"last": "30d"}}, "points": 10},
    {"when": {"tag": "vip"}, "points": 0.1},
    {"when": {"none": [{"event": "visit"}]}, "points": -5},
]


def test_a_score_is_the_sum_of_the_points_of_the_conditions_that_hold() -> None:
    vip = Profile(*ORDERS.history, tags=frozenset({"vip"}))
    assert vip.satisfies({"score": SCORE, "op": "eq", "value": 5.1}, NOON)
    assert vip.around({"score": SCORE, "op": "gte", "value": 5}, NOON + days(30)) == (
        True,
        False,
        False,
    )


def test_a_score_is_explained_with_its_parts() -> None:
    condition = parse_condition({"score": SCORE, "op": "gte", "value": 5})
    explanation = condition.explain(
        EvaluationInput({}, lambda: ProfileFacts(tags=frozenset({"vip"}))), 0
    )
    assert (explanation["result"], explanation["holds"]) == (float(Fraction("-4.9")), False)
    assert [part["holds"] for part in explanation["parts"]] == [False, True, True]


def test_an_error_within_a_score_has_its_json_pointer() -> None:
    with pytest.raises(InvalidRequest) as error:
        parse_condition(
            {"score": [{"when": {"any": [{"event": 1}]}, "points": 1}], "op": "gt", "value": 1}
        )
    assert error.value.details["path"] == "/score/0/when/any/0"


def test_values_of_one_instant_leave_the_window_together() -> None:
    first_at, second_at = NOON - days(20), NOON - days(10)
    profile = Profile(
        did("order", first_at, total=10),
        did("order", first_at, total=20),
        did("order", second_at, total=15),
    )
    average = {
        "computed": computed("avg", "total", within={"last": "30d"}),
        "op": "gt",
        "value": 16,
    }
    assert profile.changes_at(average, NOON) is None
    below = average | {"op": "lt"}
    assert profile.changes_at(below, NOON) == second_at + days(30)
