"""Every example of a segment in Loymax's "Events in Segment builder".

Each is evaluated just before, at and just after the instant at which its result changes.  A month is
30 days, a day is 24 hours.
"""

from __future__ import annotations

import pytest

from tests.unit.conditions.profile_histories import NOON, Profile, days, did
from tests.unit.conditions.seed_terms import (
    ENTERS,
    FIRST_OF_APRIL,
    FIRST_OF_MARCH,
    LEAVES,
    MARCH,
    NEW_PROFILE,
    where,
)


def test_l_show_customers_who_have_events_with_these_characteristics_x_times_in_period_y() -> None:
    condition = {"event": "call", "count": {"exactly": 2}, "within": MARCH} | where(
        "subject", "eq", "delivery"
    )
    calls = [did("call", FIRST_OF_MARCH + days(day), subject="delivery") for day in range(3)]
    assert Profile(*calls[:2]).satisfies(condition, FIRST_OF_APRIL)
    assert not Profile(*calls).satisfies(condition, FIRST_OF_APRIL)
    assert Profile(*calls[:2], did("call", subject="price")).satisfies(condition, FIRST_OF_APRIL)


def test_l_event_name() -> None:
    assert Profile(did("Password recovery")).satisfies({"event": "Password recovery"}, NOON)
    assert not Profile(did("Password recovery")).satisfies({"event": "Subscription"}, NOON)


def test_l_date_of_event() -> None:
    """Any of the events may lie within the window."""
    condition = {"event": "call", "within": MARCH}
    calls = Profile(did("call", FIRST_OF_MARCH - days(1)), did("call"), did("call", FIRST_OF_APRIL))
    assert calls.satisfies(condition, FIRST_OF_APRIL + days(1))


def test_l_date_of_last_event() -> None:
    """The last event lies within the window: one in March, and none from April on."""
    condition = {
        "all": [
            {"event": "call", "within": MARCH},
            {"event": "call", "count": {"exactly": 0}, "within": {"from": MARCH["to"]}},
        ]
    }
    assert Profile(did("call")).satisfies(condition, FIRST_OF_APRIL + days(1))
    later = Profile(did("call"), did("call", FIRST_OF_APRIL))
    assert not later.satisfies(condition, FIRST_OF_APRIL + days(1))
    assert not NEW_PROFILE.satisfies(condition, NOON)


@pytest.mark.parametrize("number", [1, 7, 45])
def test_l_days_since_last_event(number) -> None:
    older = {"event": "call", "occurrence": "last", "older_than": f"{number}d"}
    newer = {"event": "call", "occurrence": "last", "newer_than": f"{number}d"}
    profile = Profile(did("call", NOON - days(3)), did("call"))
    assert profile.around(older, NOON + days(number)) == ENTERS
    assert profile.around(newer, NOON + days(number)) == LEAVES
    assert not NEW_PROFILE.satisfies(older, NOON)
    assert not NEW_PROFILE.satisfies(newer, NOON)


def test_l_a_context_variable_name_that_is_equal_to_the_value_alphabet() -> None:
    condition = {"event": "item_in_stock"} | where("name", "eq", "Alphabet")
    for name, holds in {"Alphabet": True, "alphabet": False, "Alphabet ": False}.items():
        assert Profile(did("item_in_stock", name=name)).satisfies(condition, NOON) == holds
    assert not Profile(did("item_in_stock")).satisfies(condition, NOON)


def test_l_a_number_in_the_context_never_equals_its_text() -> None:
    condition = {"event": "item_in_stock"} | where("number", "eq", 7)
    assert Profile(did("item_in_stock", number=7.0)).satisfies(condition, NOON)
    assert not Profile(did("item_in_stock", number="7")).satisfies(condition, NOON)
    assert not Profile(did("item_in_stock", number=True)).satisfies(
        {"event": "item_in_stock"} | where("number", "eq", 1), NOON
    )
