"""Every example of a segment in Loymax's "Events in Segment builder".

Each is asked just before, at and just after the instant at which its answer changes.  A month is 30 days,
a day is 24 hours.
"""

from __future__ import annotations

import pytest

from tests.unit.conditions.asking import NOON, Person, days, did
from tests.unit.conditions.seeds import (
    ENTERS,
    FIRST_OF_APRIL,
    FIRST_OF_MARCH,
    LEAVES,
    MARCH,
    NOBODY,
    where,
)


def test_l_show_customers_who_have_events_with_these_characteristics_x_times_in_period_y() -> None:
    asked = {"event": "call", "count": {"exactly": 2}, "within": MARCH} | where(
        "subject", "eq", "delivery"
    )
    calls = [did("call", FIRST_OF_MARCH + days(it), subject="delivery") for it in range(3)]
    assert Person(*calls[:2]).meets(asked, FIRST_OF_APRIL)
    assert not Person(*calls).meets(asked, FIRST_OF_APRIL)
    assert Person(*calls[:2], did("call", subject="price")).meets(asked, FIRST_OF_APRIL)


def test_l_event_name() -> None:
    assert Person(did("Password recovery")).meets({"event": "Password recovery"}, NOON)
    assert not Person(did("Password recovery")).meets({"event": "Subscription"}, NOON)


def test_l_date_of_event() -> None:
    """Any of the events may be the one that happened then."""
    asked = {"event": "call", "within": MARCH}
    calls = Person(did("call", FIRST_OF_MARCH - days(1)), did("call"), did("call", FIRST_OF_APRIL))
    assert calls.meets(asked, FIRST_OF_APRIL + days(1))


def test_l_date_of_last_event() -> None:
    """The last one, and no other, happened then: one in March, and none from April on."""
    asked = {
        "all": [
            {"event": "call", "within": MARCH},
            {"event": "call", "count": {"exactly": 0}, "within": {"from": MARCH["to"]}},
        ]
    }
    assert Person(did("call")).meets(asked, FIRST_OF_APRIL + days(1))
    later = Person(did("call"), did("call", FIRST_OF_APRIL))
    assert not later.meets(asked, FIRST_OF_APRIL + days(1))
    assert not NOBODY.meets(asked, NOON)


@pytest.mark.parametrize("number", [1, 7, 45])
def test_l_days_since_last_event(number) -> None:
    older = {"event": "call", "occurrence": "last", "older_than": f"{number}d"}
    newer = {"event": "call", "occurrence": "last", "newer_than": f"{number}d"}
    person = Person(did("call", NOON - days(3)), did("call"))
    assert person.around(older, NOON + days(number)) == ENTERS
    assert person.around(newer, NOON + days(number)) == LEAVES
    assert not NOBODY.meets(older, NOON)
    assert not NOBODY.meets(newer, NOON)


def test_l_a_context_variable_name_that_is_equal_to_the_value_alphabet() -> None:
    asked = {"event": "item_in_stock"} | where("name", "eq", "Alphabet")
    for said, holds in {"Alphabet": True, "alphabet": False, "Alphabet ": False}.items():
        assert Person(did("item_in_stock", name=said)).meets(asked, NOON) == holds
    assert not Person(did("item_in_stock")).meets(asked, NOON)


def test_l_a_number_in_the_context_never_equals_its_text() -> None:
    asked = {"event": "item_in_stock"} | where("number", "eq", 7)
    assert Person(did("item_in_stock", number=7.0)).meets(asked, NOON)
    assert not Person(did("item_in_stock", number="7")).meets(asked, NOON)
    assert not Person(did("item_in_stock", number=True)).meets(
        {"event": "item_in_stock"} | where("number", "eq", 1), NOON
    )
