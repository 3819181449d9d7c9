"""Every example of a segment in Infobip's use cases of activity events.

Each is evaluated just before, at and just after the instant at which its result changes.  A month is
30 days, a day is 24 hours.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.core.time import MICROSECOND
from tests.unit.conditions.profile_histories import NOON, Profile, days, did
from tests.unit.conditions.seed_terms import (
    ENTERS,
    FIRST_OF_APRIL,
    FIRST_OF_MARCH,
    LEAVES,
    MARCH,
    NEW_PROFILE,
    STAYS,
    where,
)


def views(page: str, *ages: float) -> Profile:
    return Profile(*(did("page_view", NOON - days(age), path=page) for age in ages))


def test_i_visits_your_mortgage_page_5_times_in_a_month() -> None:
    condition = (
        {"event": "page_view", "count": {"at_least": 5}, "within": {"last": "30d"}}
    ) | where("path", "eq", "/mortgage")
    five = views("/mortgage", 20, 15, 10, 5, 0)
    assert five.satisfies(condition, NOON)
    assert five.around(condition, NOON - days(20) + days(30)) == LEAVES
    assert not views("/mortgage", 20, 15, 10, 5).satisfies(condition, NOON)
    assert not views("/mortgages", 20, 15, 10, 5, 0).satisfies(condition, NOON)
    assert not views("/mortgage", 30, 15, 10, 5, 0).satisfies(condition, NOON)


def test_i_looks_at_the_shoes_page_3_times_within_a_week() -> None:
    condition = (
        {"event": "page_view", "count": {"at_least": 3}, "within": {"last": "7d"}}
    ) | where("path", "starts_with", "/shoes")
    assert views("/shoes/red", 3, 2, 1).around(condition, NOON + days(4)) == LEAVES
    assert views("/shoes", 3, 2, 1, 0.5).around(condition, NOON + days(4)) == STAYS
    assert not views("/shoes", 8, 2, 1).satisfies(condition, NOON)


def test_i_has_not_visited_your_webpage_in_the_last_45_days() -> None:
    condition = {"event": "page_view", "count": {"exactly": 0}, "within": {"last": "45d"}}
    assert views("/", 60, 10).around(condition, NOON - days(10) + days(45)) == ENTERS
    assert NEW_PROFILE.satisfies(condition, NOON)


def test_i_visited_once_but_the_last_visit_is_45_days_ago() -> None:
    condition = {"event": "session_started", "occurrence": "last", "older_than": "45d"}
    profile = Profile(did("session_started", NOON - days(90)), did("session_started"))
    assert profile.around(condition, NOON + days(45)) == ENTERS
    assert not NEW_PROFILE.satisfies(condition, NOON)


TICKETS = {
    "sequence": [{"event": "search_tickets"}, {"event": "select_ticket"}],
    "within": "1h",
    "without": [{"event": "checkout"}],
}


def test_i_visits_search_then_select_ticket_but_does_not_go_to_checkout() -> None:
    search, select = did("search_tickets"), did("select_ticket", NOON + timedelta(minutes=60))
    assert Profile(search, select).satisfies(TICKETS, select.at)
    assert not Profile(search).satisfies(TICKETS, select.at)
    assert not Profile(did("search_tickets", select.at), did("select_ticket", search.at)).satisfies(
        TICKETS, select.at
    )
    late = did("select_ticket", select.at + MICROSECOND)
    assert not Profile(search, late).satisfies(TICKETS, late.at)


@pytest.mark.parametrize(
    ("minutes", "still_abandoned"), [(-1, True), (0, False), (30, False), (60, False), (61, True)]
)
def test_i_a_checkout_counts_from_the_first_to_the_last_step(minutes, still_abandoned) -> None:
    profile = Profile(
        did("search_tickets"),
        did("checkout", NOON + timedelta(minutes=minutes)),
        did("select_ticket", NOON + timedelta(minutes=60)),
    )
    assert profile.satisfies(TICKETS, NOON + days(1)) == still_abandoned


def test_i_an_abandoned_cart_is_one_that_was_not_bought_after_it_was_filled() -> None:
    condition = {
        "all": [
            {"event": "addedToCart"},
            {"none": [{"sequence": [{"event": "addedToCart"}, {"event": "itemPurchased"}]}]},
        ]
    }
    filled, bought = did("addedToCart"), did("itemPurchased", NOON + days(1))
    assert Profile(filled).satisfies(condition, NOON)
    assert not Profile(filled, bought).satisfies(condition, NOON + days(2))
    assert Profile(filled, did("itemPurchased", NOON - days(1))).satisfies(condition, NOON)


def test_i_has_more_than_100_page_views_in_30_days() -> None:
    condition = {"event": "page_view", "count": {"at_least": 101}, "within": {"last": "30d"}}
    hundred = [did("page_view", NOON - timedelta(minutes=age)) for age in range(100)]
    assert not Profile(*hundred).satisfies(condition, NOON)
    one_more = Profile(*hundred, did("page_view", NOON - days(1)))
    assert one_more.around(condition, NOON - days(1) + days(30)) == LEAVES


def test_i_the_selected_attribute_is_country_and_the_event_is_tag_added() -> None:
    condition = {
        "all": [{"attribute": "country", "op": "eq", "value": "Croatia"}, {"event": "tag_added"}]
    }
    assert Profile(did("tag_added"), attributes={"country": "Croatia"}).satisfies(condition, NOON)
    assert not Profile(did("tag_added"), attributes={"country": "croatia"}).satisfies(
        condition, NOON
    )
    assert not Profile(attributes={"country": "Croatia"}).satisfies(condition, NOON)


@pytest.mark.parametrize("calls", range(6))
def test_i_the_number_of_times_an_end_user_called_your_contact_center(calls) -> None:
    profile = Profile(*(did("call", NOON - days(age)) for age in range(calls)))
    for member, holds in {
        "at_least": calls >= 3,
        "at_most": calls <= 3,
        "exactly": calls == 3,
    }.items():
        assert profile.satisfies({"event": "call", "count": {member: 3}}, NOON) == holds
    assert profile.satisfies({"event": "call", "count": {"between": [2, 4]}}, NOON) == (
        2 <= calls <= 4
    )


def test_i_first_occurrence() -> None:
    condition = {"event": "itemViewed", "occurrence": "first", "newer_than": "7d"}
    profile = Profile(did("itemViewed", NOON + days(1)), did("itemViewed"))
    assert profile.around(condition, NOON + days(7)) == LEAVES
    assert not NEW_PROFILE.satisfies(condition, NOON)


def test_i_last_occurrence() -> None:
    condition = {"event": "itemViewed", "occurrence": "last", "newer_than": "7d"}
    profile = Profile(did("itemViewed"), did("itemViewed", NOON - days(30)))
    assert profile.around(condition, NOON + days(7)) == LEAVES


def test_i_all_occurrences_are_within_a_relative_time() -> None:
    condition = {
        "all": [
            {"event": "itemViewed"},
            {"none": [{"event": "itemViewed", "occurrence": "first", "older_than": "7d"}]},
        ]
    }
    profile = Profile(did("itemViewed"), did("itemViewed", NOON + days(6)))
    assert profile.around(condition, NOON + days(7)) == LEAVES


def test_i_not_occurred_includes_profiles_with_no_events_at_all() -> None:
    condition = {"none": [{"event": "itemPurchased", "within": {"last": "24h"}}]}
    assert NEW_PROFILE.satisfies(condition, NOON)
    assert Profile(did("itemPurchased")).around(condition, NOON + timedelta(hours=24)) == ENTERS
    assert Profile(did("itemViewed")).satisfies(condition, NOON)


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (FIRST_OF_MARCH - MICROSECOND, False),
        (FIRST_OF_MARCH, True),
        (FIRST_OF_APRIL - MICROSECOND, True),
        (FIRST_OF_APRIL, False),
    ],
    ids=str,
)
def test_i_an_absolute_window_has_its_first_instant_and_not_its_last(at, counts) -> None:
    profile = Profile(did("itemViewed", at))
    clock = FIRST_OF_APRIL + days(400)
    assert profile.satisfies({"event": "itemViewed", "within": MARCH}, clock) == counts
    after, before = {"from": MARCH["from"]}, {"to": MARCH["to"]}
    assert profile.satisfies({"event": "itemViewed", "within": after}, clock) == (
        at >= FIRST_OF_MARCH
    )
    assert profile.satisfies({"event": "itemViewed", "within": before}, clock) == (
        at < FIRST_OF_APRIL
    )


@pytest.mark.parametrize(
    ("unit", "span"),
    [
        ("90m", timedelta(minutes=90)),
        ("36h", timedelta(hours=36)),
        ("2d", days(2)),
        ("90s", timedelta(seconds=90)),
    ],
)
def test_i_units_are_days_hours_and_minutes(unit, span) -> None:
    condition = {"event": "itemViewed", "within": {"last": unit}}
    assert Profile(did("itemViewed")).around(condition, NOON + span) == LEAVES


def test_i_a_rating_between_two_values() -> None:
    condition = {"event": "ratingAdded"} | where("rating", "between", [2.5, 4])
    ratings = {2.4: False, 2.5: True, 3: True, 4.0: True, 4.1: False, "3": False}
    for rating, holds in ratings.items():
        assert Profile(did("ratingAdded", rating=rating)).satisfies(condition, NOON) == holds
