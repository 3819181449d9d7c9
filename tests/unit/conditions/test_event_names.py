"""Patterns of event names: the meaning of each sign and each escape."""

from __future__ import annotations

import pytest

from domain.conditions import parse_condition
from domain.conditions.event_names import MAX_PATTERN_LENGTH, EventNamePattern
from domain.core.errors import InvalidRequest
from tests.leaves import Leaves
from tests.unit.conditions.profile_histories import NOON, Profile, days, did

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
    ("pattern", "matching", "others"), PATTERNS, ids=[pattern for pattern, *_ in PATTERNS]
)
def test_a_pattern_matches_exactly_these_names(pattern, matching, others) -> None:
    event_name = EventNamePattern(pattern)
    assert [name for name in (*matching, *others) if event_name.matches(name)] == matching


@pytest.mark.parametrize(
    "pattern", ["", " ", "+", "|", "a+", "+a", "a||b", "a+ |b", "\\", "a\\", "a\\\\\\", "a" * 1001]
)
def test_an_invalid_pattern_is_refused_with_a_hint(pattern) -> None:
    with pytest.raises(InvalidRequest, match=r"; use |at most") as error:
        parse_condition({"all": [{"event": {"matching": pattern}}]})
    assert error.value.details["path"] == "/all/0"


def test_a_plain_name_is_not_a_pattern() -> None:
    leaves = Leaves(parse_condition({"event": "Order*"}))
    assert leaves.watching("Order*")
    assert not leaves.watching("Order Placed")


def test_every_leaf_and_step_takes_a_pattern() -> None:
    orders, carts = {"event": {"matching": "Order*"}}, {"event": {"matching": "Cart*"}}
    history = Profile(did("Cart Viewed"), did("Order Placed", NOON + days(1), total=5))
    clock = NOON + days(2)
    assert history.satisfies(orders, clock)
    assert history.satisfies(orders | {"occurrence": "last", "older_than": "1d"}, clock)
    aggregate = {"fn": "sum", "path": "properties.total", "op": "eq", "value": 5}
    assert history.satisfies(orders | {"aggregate": aggregate}, clock)
    assert history.satisfies({"sequence": [carts, orders]}, clock)
    assert not history.satisfies({"sequence": [carts, orders], "without": [carts]}, clock)


def test_a_leaf_knows_its_names_unless_it_has_a_pattern() -> None:
    condition = parse_condition(
        {"sequence": [{"event": "a"}, {"event": "b"}], "without": [{"event": "c"}]}
    )
    [leaf] = Leaves(condition).by_key.values()
    assert leaf.names == {"a", "b", "c"}
    both = Leaves(parse_condition({"all": [{"event": "a"}, {"event": {"matching": "a*"}}]}))
    assert [leaf.names for leaf in both.by_key.values()] == [{"a"}, None]
    assert [len(both.watching(name)) for name in ("a", "ab", "b")] == [2, 1, 0]


def test_a_long_name_and_many_stars_are_matched_quickly() -> None:
    document = {"event": {"matching": "*a" * (MAX_PATTERN_LENGTH // 2)}}
    leaves = Leaves(parse_condition(document))
    assert leaves.watching("a" * 30_000)
    assert not leaves.watching("a" * 30_000 + "b")
