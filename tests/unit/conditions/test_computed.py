"""Computed attributes and scores: what each function gives, and when it changes."""

from __future__ import annotations

from fractions import Fraction

import pytest

from domain.conditions import (
    CompiledCondition,
    EvaluationInput,
    EventView,
    ProfileFacts,
    parse_condition,
)
from domain.core.errors import InvalidRequest
from tests.unit.conditions.asking import NOON, Person, days, did

ORDERS = Person(
    did("order", NOON - days(20), total=0.1, shop="Split"),
    did("order", NOON - days(10), total=0.2, shop="Zagreb"),
    did("order", NOON, shop="Zagreb"),
)


def computed(fn: str, path: str | None = None, **more: object) -> dict:
    return {"fn": fn, "event": "order"} | ({"path": f"properties.{path}"} if path else {}) | more


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
    assert ORDERS.meets({"computed": definition, "op": "eq", "value": value}, NOON)
    assert not ORDERS.meets({"computed": definition, "op": "ne", "value": value}, NOON)


def test_over_nothing_counts_and_sums_are_0_and_the_others_are_not_there() -> None:
    for fn in ("sum", "distinct"):
        asked = {"computed": computed(fn, "total"), "op": "eq", "value": 0}
        assert Person().meets(asked, NOON)
    for fn in ("avg", "min", "max", "first", "last"):
        assert Person().meets({"computed": computed(fn, "total"), "op": "not_exists"}, NOON)


def test_the_first_value_within_a_window_changes_as_its_event_leaves() -> None:
    definition = computed("first", "shop", within={"last": "30d"})
    asked = {"computed": definition, "op": "eq", "value": "Split"}
    assert ORDERS.around(asked, NOON + days(10)) == (True, False, False)
    assert ORDERS.around({"computed": definition, "op": "exists"}, NOON + days(30)) == (
        True,
        False,
        False,
    )


def test_a_time_that_is_the_last_value_passes_the_clock() -> None:
    person = Person(did("order", due="2026-03-02T12:00:00Z"))
    asked = {"computed": computed("last", "due"), "op": "after", "value": {"ago": "1d"}}
    assert person.around(asked, NOON + days(2)) == (True, False, False)


def test_of_two_events_at_one_instant_the_id_decides_whatever_the_order() -> None:
    program = CompiledCondition(
        parse_condition({"computed": computed("last", "shop"), "op": "eq", "value": "b"})
    )
    [(key, add)] = program.add_functions.items()
    one = EventView(1, b"1", "order", {"properties": {"shop": "a"}})
    two = EventView(1, b"2", "order", {"properties": {"shop": "b"}})
    for order in ((one, two), (two, one)):
        summary = None
        for each in order:
            summary = add(summary, each)
        assert program.condition.holds(EvaluationInput({key: summary}), 1)


def test_however_it_is_compared_the_summary_is_one() -> None:
    definition = computed("count")
    document = {"any": [{"computed": definition, "op": "eq", "value": it} for it in range(5)]}
    assert len(CompiledCondition(parse_condition(document)).leaves) == 1


SCORE = [
    {"when": {"event": "order", "within": {"last": "30d"}}, "points": 10},
    {"when": {"tag": "vip"}, "points": 0.1},
    {"when": {"none": [{"event": "visit"}]}, "points": -5},
]


def test_a_score_is_the_sum_of_the_points_of_what_holds() -> None:
    vip = Person(*ORDERS.history, tags=frozenset({"vip"}))
    assert vip.meets({"score": SCORE, "op": "eq", "value": 5.1}, NOON)
    assert vip.around({"score": SCORE, "op": "gte", "value": 5}, NOON + days(30)) == (
        True,
        False,
        False,
    )


def test_a_score_is_explained_with_its_parts() -> None:
    condition = parse_condition({"score": SCORE, "op": "gte", "value": 5})
    explained = condition.explain(
        EvaluationInput({}, lambda: ProfileFacts(tags=frozenset({"vip"}))), 0
    )
    assert (explained["result"], explained["holds"]) == (float(Fraction("-4.9")), False)
    assert [it["holds"] for it in explained["parts"]] == [False, True, True]


def test_what_is_wrong_within_a_score_is_told_with_its_place() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_condition(
            {"score": [{"when": {"any": [{"event": 1}]}, "points": 1}], "op": "gt", "value": 1}
        )
    assert refused.value.details["path"] == "/score/0/when/any/0"


def test_what_leaves_at_one_instant_leaves_together() -> None:
    at_once, later = NOON - days(20), NOON - days(10)
    person = Person(
        did("order", at_once, total=10),
        did("order", at_once, total=20),
        did("order", later, total=15),
    )
    average = {
        "computed": computed("avg", "total", within={"last": "30d"}),
        "op": "gt",
        "value": 16,
    }
    assert person.changes(average, NOON) is None
    least = average | {"op": "lt"}
    assert person.changes(least, NOON) == later + days(30)
