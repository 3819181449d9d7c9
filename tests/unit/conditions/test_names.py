"""Wildcard search for event names: what each sign means, and what each escape makes of it."""

from __future__ import annotations

import pytest

from domain.conditions import CompiledCondition, parse_condition
from domain.conditions.event_names import MAX_PATTERN_LENGTH, EventNamePattern
from domain.core.errors import InvalidRequest
from tests.unit.conditions.asking import NOON, Person, days, did

PATTERNS = [
    # pattern, names that match, names that do not
    ("Order", ["Order"], ["order", "Orders", "", " Order"]),
    ("Order*", ["Order", "Order Placed", "Orders\nall"], ["order placed", "My Order"]),
    ("*Order", ["Order", "My Order"], ["Orders"]),
    ("*rd*", ["Order", "rd"], ["r d"]),
    ("a*b*a", ["aba", "a-b-a", "abba"], ["ab", "aa", "a"]),
    ("ab*ba", ["abba", "ab ba"], ["aba"]),
    ("*", ["", "anything"], []),
    ("**", ["", "anything"], []),
    ("Order*+Cart*", ["Order Placed", "Cart Viewed"], ["Product", "a Cart"]),
    ("Order*|*Test", ["Order Placed"], ["Order Test", "Cart Test"]),
    ("Order*|*Test+Order Test", ["Order Placed", "Order Test"], ["Order 2 Test"]),
    ("*|Order*+Order Placed|*Placed", ["Cart"], ["Order Placed", "Order", "Cart Placed"]),
    (" Order* + Cart* | *Test ", ["Order", "Cart 1"], ["Cart Test"]),
    (r"50\* off", ["50* off"], ["500 off", r"50\* off"]),
    (r"C\+\+*", ["C++", "C++ course"], ["C", "C course"]),
    (r"a\|b", ["a|b"], ["a", "b"]),
    (r"a\\b", ["a\\b"], [r"a\\b", "ab"]),
    (r"a\\*", ["a\\", "a\\b"], ["a*", "a"]),
    (r"\a\b", ["ab"], [r"\a\b"]),
    (r"a\ ", ["a "], ["a"]),
    (r"\ a+\ ", [" a", " "], ["a", ""]),
]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"), PATTERNS, ids=[it[0] for it in PATTERNS]
)
def test_a_pattern_takes_just_these_names(pattern, matching, others) -> None:
    wanted = EventNamePattern(pattern)
    assert [it for it in (*matching, *others) if wanted.matches(it)] == matching


@pytest.mark.parametrize(
    "pattern", ["", " ", "+", "|", "a+", "+a", "a||b", "a+ |b", "\\", "a\\", "a\\\\\\", "a" * 1001]
)
def test_a_pattern_that_says_nothing_is_refused_with_what_to_write(pattern) -> None:
    with pytest.raises(InvalidRequest, match=r"write|at most") as refused:
        parse_condition({"all": [{"event": {"matching": pattern}}]})
    assert refused.value.details["path"] == "/all/0"


def test_a_plain_name_is_no_pattern() -> None:
    program = CompiledCondition(parse_condition({"event": "Order*"}))
    assert program.keys_watching("Order*")
    assert not program.keys_watching("Order Placed")


def test_every_leaf_and_step_takes_a_pattern() -> None:
    orders, carts = {"event": {"matching": "Order*"}}, {"event": {"matching": "Cart*"}}
    history = Person(did("Cart Viewed"), did("Order Placed", NOON + days(1), total=5))
    then = NOON + days(2)
    assert history.meets(orders, then)
    assert history.meets(orders | {"occurrence": "last", "older_than": "1d"}, then)
    asked = {"fn": "sum", "path": "properties.total", "op": "eq", "value": 5}
    assert history.meets(orders | {"aggregate": asked}, then)
    assert history.meets({"sequence": [carts, orders]}, then)
    assert not history.meets({"sequence": [carts, orders], "without": [carts]}, then)


def test_a_program_knows_its_names_unless_there_is_a_pattern() -> None:
    condition = parse_condition(
        {"sequence": [{"event": "a"}, {"event": "b"}], "without": [{"event": "c"}]}
    )
    [leaf] = CompiledCondition(condition).leaves.values()
    assert leaf.names == {"a", "b", "c"}
    both = CompiledCondition(
        parse_condition({"all": [{"event": "a"}, {"event": {"matching": "a*"}}]})
    )
    assert [it.names for it in both.leaves.values()] == [{"a"}, None]
    assert [len(both.keys_watching(it)) for it in ("a", "ab", "b")] == [2, 1, 0]


def test_a_name_of_any_length_and_many_stars_are_looked_at_in_a_moment() -> None:
    wanted = {"event": {"matching": "*a" * (MAX_PATTERN_LENGTH // 2)}}
    program = CompiledCondition(parse_condition(wanted))
    assert program.keys_watching("a" * 30_000)
    assert not program.keys_watching("a" * 30_000 + "b")
