"""Disjoint sets: the smallest item is the root, unknown items are added, order is kept."""

from __future__ import annotations

from itertools import permutations

import pytest

from domain.identity.union_find import IdentifierSets, UnionFind
from tests.builders import anonymous, user


@pytest.mark.parametrize("unions", [*permutations([(1, 2), (4, 3), (2, 4)])])
def test_the_root_is_the_smallest_item_in_any_order_of_unions(unions) -> None:
    sets = UnionFind(range(6))
    for pair in unions:
        sets.union(*pair)
    assert sets.sets() == {0: {0}, 1: {1, 2, 3, 4}, 5: {5}}


def test_a_union_joins_any_number_of_items_and_adds_unknown_ones() -> None:
    sets = UnionFind[str]()
    sets.union("c", "a", "b")
    sets.union("d")
    sets.union()
    assert sets.sets() == {"a": {"a", "b", "c"}, "d": {"d"}}


def test_groups_keep_the_given_order() -> None:
    sets = UnionFind([3, 2, 1])
    sets.union(1, 3)
    assert sets.group([3, 2, 1, 7]) == {1: [3, 1], 2: [2], 7: [7]}


def test_identifier_sets_count_their_user_ids() -> None:
    sets = IdentifierSets([user("a"), user("b"), anonymous()])
    sets.union(user("a"), anonymous())
    assert sets.user_id_count(anonymous()) == 1
    sets.union(user("b"), anonymous())
    sets.union(user("a"), user("b"))
    assert sets.user_id_count(user("c")) == 1
    assert [sets.user_id_count(id_) for id_ in (user("a"), user("b"), anonymous())] == [2, 2, 2]
    assert sets.singletons().user_id_count(user("a")) == 1
