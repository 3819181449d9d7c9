"""Every example of a segment in the customer's documents (B BotBat, I Infobip, J Customer.io, L Loymax).

Each is asked just before, at and just after the instant at which its answer changes.  A month is 30 days,
a day is 24 hours.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.core.time import MICROSECOND
from tests.unit.conditions.asking import NOON, Did, Person, days, did

STAYS, ENTERS, LEAVES = (True, True, True), (False, True, True), (True, False, False)
NOBODY = Person()


def where(path: str, op: str, *value: object) -> dict:
    test = {"path": f"properties.{path}", "op": op} | ({"value": value[0]} if value else {})
    return {"where": [test]}


def views(page: str, *ages: float) -> Person:
    return Person(*(did("page_view", NOON - days(age), path=page) for age in ages))


# --- I: Infobip, "Use cases for Person activity events" ---


def test_i_visits_your_mortgage_page_5_times_in_a_month() -> None:
    asked = ({"event": "page_view", "count": {"at_least": 5}, "within": {"last": "30d"}}) | where(
        "path", "eq", "/mortgage"
    )
    five = views("/mortgage", 20, 15, 10, 5, 0)
    assert five.meets(asked, NOON)
    assert five.around(asked, NOON - days(20) + days(30)) == LEAVES
    assert not views("/mortgage", 20, 15, 10, 5).meets(asked, NOON)
    assert not views("/mortgages", 20, 15, 10, 5, 0).meets(asked, NOON)
    assert not views("/mortgage", 30, 15, 10, 5, 0).meets(asked, NOON)


def test_i_looks_at_the_shoes_page_3_times_within_a_week() -> None:
    asked = ({"event": "page_view", "count": {"at_least": 3}, "within": {"last": "7d"}}) | where(
        "path", "starts_with", "/shoes"
    )
    assert views("/shoes/red", 3, 2, 1).around(asked, NOON + days(4)) == LEAVES
    assert views("/shoes", 3, 2, 1, 0.5).around(asked, NOON + days(4)) == STAYS
    assert not views("/shoes", 8, 2, 1).meets(asked, NOON)


def test_i_has_not_visited_your_webpage_in_the_last_45_days() -> None:
    asked = {"event": "page_view", "count": {"exactly": 0}, "within": {"last": "45d"}}
    assert views("/", 60, 10).around(asked, NOON - days(10) + days(45)) == ENTERS
    assert NOBODY.meets(asked, NOON)


def test_i_visited_once_but_the_last_visit_is_45_days_ago() -> None:
    asked = {"event": "session_started", "occurrence": "last", "older_than": "45d"}
    person = Person(did("session_started", NOON - days(90)), did("session_started"))
    assert person.around(asked, NOON + days(45)) == ENTERS
    assert not NOBODY.meets(asked, NOON)


TICKETS = {
    "sequence": [{"event": "search_tickets"}, {"event": "select_ticket"}],
    "within": "1h",
    "without": [{"event": "checkout"}],
}


def test_i_visits_search_then_select_ticket_but_does_not_go_to_checkout() -> None:
    search, select = did("search_tickets"), did("select_ticket", NOON + timedelta(minutes=60))
    assert Person(search, select).meets(TICKETS, select.at)
    assert not Person(search).meets(TICKETS, select.at)
    assert not Person(did("search_tickets", select.at), did("select_ticket", search.at)).meets(
        TICKETS, select.at
    )
    late = did("select_ticket", select.at + MICROSECOND)
    assert not Person(search, late).meets(TICKETS, late.at)


@pytest.mark.parametrize(
    ("minutes", "still_abandoned"), [(-1, True), (0, False), (30, False), (60, False), (61, True)]
)
def test_i_a_checkout_counts_from_the_first_to_the_last_step(minutes, still_abandoned) -> None:
    person = Person(
        did("search_tickets"),
        did("checkout", NOON + timedelta(minutes=minutes)),
        did("select_ticket", NOON + timedelta(minutes=60)),
    )
    assert person.meets(TICKETS, NOON + days(1)) == still_abandoned


def test_i_an_abandoned_cart_is_one_that_was_not_bought_after_it_was_filled() -> None:
    asked = {
        "all": [
            {"event": "addedToCart"},
            {"none": [{"sequence": [{"event": "addedToCart"}, {"event": "itemPurchased"}]}]},
        ]
    }
    filled, bought = did("addedToCart"), did("itemPurchased", NOON + days(1))
    assert Person(filled).meets(asked, NOON)
    assert not Person(filled, bought).meets(asked, NOON + days(2))
    assert Person(filled, did("itemPurchased", NOON - days(1))).meets(asked, NOON)


def test_i_has_more_than_100_page_views_in_30_days() -> None:
    asked = {"event": "page_view", "count": {"at_least": 101}, "within": {"last": "30d"}}
    hundred = [did("page_view", NOON - timedelta(minutes=it)) for it in range(100)]
    assert not Person(*hundred).meets(asked, NOON)
    one_more = Person(*hundred, did("page_view", NOON - days(1)))
    assert one_more.around(asked, NOON - days(1) + days(30)) == LEAVES


def test_i_the_selected_attribute_is_country_and_the_event_is_tag_added() -> None:
    asked = {
        "all": [{"attribute": "country", "op": "eq", "value": "Croatia"}, {"event": "tag_added"}]
    }
    assert Person(did("tag_added"), attributes={"country": "Croatia"}).meets(asked, NOON)
    assert not Person(did("tag_added"), attributes={"country": "croatia"}).meets(asked, NOON)
    assert not Person(attributes={"country": "Croatia"}).meets(asked, NOON)


@pytest.mark.parametrize("calls", range(6))
def test_i_the_number_of_times_an_end_user_called_your_contact_center(calls) -> None:
    person = Person(*(did("call", NOON - days(it)) for it in range(calls)))
    for how, holds in {
        "at_least": calls >= 3,
        "at_most": calls <= 3,
        "exactly": calls == 3,
    }.items():
        assert person.meets({"event": "call", "count": {how: 3}}, NOON) == holds
    assert person.meets({"event": "call", "count": {"between": [2, 4]}}, NOON) == (2 <= calls <= 4)


def test_i_first_occurrence() -> None:
    asked = {"event": "itemViewed", "occurrence": "first", "newer_than": "7d"}
    person = Person(did("itemViewed", NOON + days(1)), did("itemViewed"))
    assert person.around(asked, NOON + days(7)) == LEAVES
    assert not NOBODY.meets(asked, NOON)


def test_i_last_occurrence() -> None:
    asked = {"event": "itemViewed", "occurrence": "last", "newer_than": "7d"}
    person = Person(did("itemViewed"), did("itemViewed", NOON - days(30)))
    assert person.around(asked, NOON + days(7)) == LEAVES


def test_i_all_occurrences_are_within_a_relative_time() -> None:
    asked = {
        "all": [
            {"event": "itemViewed"},
            {"none": [{"event": "itemViewed", "occurrence": "first", "older_than": "7d"}]},
        ]
    }
    person = Person(did("itemViewed"), did("itemViewed", NOON + days(6)))
    assert person.around(asked, NOON + days(7)) == LEAVES


def test_i_not_occurred_includes_people_with_no_events_at_all() -> None:
    asked = {"none": [{"event": "itemPurchased", "within": {"last": "24h"}}]}
    assert NOBODY.meets(asked, NOON)
    assert Person(did("itemPurchased")).around(asked, NOON + timedelta(hours=24)) == ENTERS
    assert Person(did("itemViewed")).meets(asked, NOON)


MARCH = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
FIRST_OF_MARCH, FIRST_OF_APRIL = (datetime(2026, it, 1, tzinfo=UTC) for it in (3, 4))


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
    person = Person(did("itemViewed", at))
    clock = FIRST_OF_APRIL + days(400)
    assert person.meets({"event": "itemViewed", "within": MARCH}, clock) == counts
    after, before = {"from": MARCH["from"]}, {"to": MARCH["to"]}
    assert person.meets({"event": "itemViewed", "within": after}, clock) == (at >= FIRST_OF_MARCH)
    assert person.meets({"event": "itemViewed", "within": before}, clock) == (at < FIRST_OF_APRIL)


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
    asked = {"event": "itemViewed", "within": {"last": unit}}
    assert Person(did("itemViewed")).around(asked, NOON + span) == LEAVES


def test_i_a_rating_between_two_values() -> None:
    asked = {"event": "ratingAdded"} | where("rating", "between", [2.5, 4])
    ratings = {2.4: False, 2.5: True, 3: True, 4.0: True, 4.1: False, "3": False}
    for rating, holds in ratings.items():
        assert Person(did("ratingAdded", rating=rating)).meets(asked, NOON) == holds


# --- J: Customer.io, "Event segments" and what is said of event data ---


def test_j_have_invited_friend_in_the_last_14_days() -> None:
    asked = {"event": "invited_friend", "within": {"last": "14d"}}
    assert Person(did("invited_friend")).around(asked, NOON + days(14)) == LEAVES
    assert not NOBODY.meets(asked, NOON)


def test_j_have_not_created_project_in_30_days() -> None:
    asked = {"event": "created_project", "count": {"exactly": 0}, "within": {"last": "30d"}}
    assert Person(did("created_project")).around(asked, NOON + days(30)) == ENTERS
    assert NOBODY.meets(asked, NOON)


def test_j_have_done_without_a_timeframe_is_for_ever() -> None:
    asked = {"event": "created_project"}
    assert Person(did("created_project")).meets(asked, NOON + days(36_500))
    assert not NOBODY.meets(asked, NOON)


def test_j_have_not_done_without_a_timeframe() -> None:
    asked = {"event": "created_project", "count": {"exactly": 0}}
    assert NOBODY.meets(asked, NOON)
    assert not Person(did("created_project")).meets(asked, NOON + days(36_500))


def test_j_made_purchase_has_been_performed_at_least_once_in_the_past_90_days() -> None:
    """Events older than 30 days are gone from their activity log, but not from segments."""
    asked = {"event": "made_purchase", "count": {"at_least": 1}, "within": {"last": "90d"}}
    old = Person(did("made_purchase", NOON - days(60)))
    assert old.meets(asked, NOON)
    assert old.around(asked, NOON + days(30)) == LEAVES


def test_j_abandoned_their_cart_with_a_monitor() -> None:
    asked = {"event": "abandoned_cart"} | where("items[].type", "eq", "monitor")
    monitor = {"category": "computers", "type": "monitor", "price": 200}
    cable = {"category": "cables", "type": "hdmi", "price": 15}
    assert Person(did("abandoned_cart", total=215, items=[monitor, cable])).meets(asked, NOON)
    assert not Person(did("abandoned_cart", total=15, items=[cable])).meets(asked, NOON)
    assert not Person(did("abandoned_cart", items=[])).meets(asked, NOON)


@pytest.mark.parametrize("sent", ["Likes_pizza", " likes_pizza", "likes_pizza ", "likes pizza"])
def test_j_the_name_in_the_segment_and_the_name_that_was_sent_are_the_same(sent) -> None:
    assert not Person(did(sent)).meets({"event": "likes_pizza"}, NOON)
    assert Person(did(sent)).meets({"event": sent}, NOON)


@pytest.mark.parametrize("name", ["a*", "a+b", "a|b", "a\\b", "*"])
def test_j_names_can_include_special_characters(name) -> None:
    assert Person(did(name)).meets({"event": name}, NOON)
    assert not Person(did("ab"), did("a"), did("b")).meets({"event": name}, NOON)


def test_j_event_data_with_spaces_in_its_names() -> None:
    asked = {
        "event": "signed_up",
        "where": [{"path": 'properties["sign up date"]', "op": "on", "value": "2026-03-01"}],
    }
    assert Person(Did("signed_up", NOON, {"sign up date": "2026-03-01T23:59:59Z"})).meets(
        asked, NOON
    )
    assert not Person(Did("signed_up", NOON, {"sign up date": "2026-03-02"})).meets(asked, NOON)


def test_j_a_column_with_a_dot_in_its_name_is_one_name() -> None:
    asked = {
        "event": "imported",
        "where": [{"path": 'properties["property.subproperty"]', "op": "eq", "value": "x"}],
    }
    assert Person(Did("imported", NOON, {"property.subproperty": "x"})).meets(asked, NOON)
    assert not Person(did("imported", property={"subproperty": "x"})).meets(asked, NOON)


def test_j_form_values_are_text_and_no_numbers() -> None:
    asked = {"event": "purchased"} | where("price", "gt", 20)
    assert Person(did("purchased", price=23.45)).meets(asked, NOON)
    assert not Person(did("purchased", price="23.45")).meets(asked, NOON)


def test_j_back_dated_events_count_when_they_happened() -> None:
    asked = {"event": "made_purchase", "count": {"at_least": 2}, "within": {"last": "30d"}}
    told_in_order = Person(did("made_purchase", NOON - days(20)), did("made_purchase"))
    told_late = Person(did("made_purchase"), did("made_purchase", NOON - days(20)))
    assert told_in_order.around(asked, NOON + days(10)) == LEAVES
    assert told_late.around(asked, NOON + days(10)) == LEAVES


def test_j_anonymous_events_are_the_persons_after_they_are_identified() -> None:
    asked = {"event": "page_view", "count": {"at_least": 2}, "within": {"last": "30d"}}
    visitor = Did("page_view", NOON - days(1), {}, stream=1)
    assert Person(visitor, Did("page_view", NOON, {}, stream=2)).around(asked, NOON + days(29)) == (
        True,
        False,
        False,
    )


def test_j_an_event_deduplicated_by_id_counts_once() -> None:
    """Duplicates are refused before conditions see them; a resent event is another event."""
    asked = {"event": "my event", "count": {"at_least": 2}}
    assert not Person(did("my event")).meets(asked, NOON)
    assert Person(did("my event"), did("my event")).meets(asked, NOON)


# --- L: Loymax, "Events in Segment builder" ---


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


# --- B: BotBat, "Building behavioral segments" ---


def test_b_clicked_a_pricing_link_in_the_last_7_days() -> None:
    asked = {"event": "link_clicked", "within": {"last": "7d"}} | where(
        "url", "contains", "/pricing"
    )
    clicked = Person(did("link_clicked", url="https://example.com/pricing?from=mail"))
    assert clicked.around(asked, NOON + days(7)) == LEAVES
    assert not Person(did("link_clicked", url="https://example.com/")).meets(asked, NOON)


def test_b_completed_a_purchase_with_an_amount_greater_than_100_in_the_last_14_days() -> None:
    asked = {"event": "purchase", "within": {"last": "14d"}} | where("amount", "gt", 100)
    assert Person(did("purchase", amount=100.01)).around(asked, NOON + days(14)) == LEAVES
    assert not Person(did("purchase", amount=100)).meets(asked, NOON)


def test_b_event_occurrence_frequency_recency_or_property_values_together() -> None:
    asked = {
        "all": [
            {"event": "form_submitted"},
            {"event": "link_clicked", "count": {"at_least": 2}},
            {"event": "session_started", "occurrence": "last", "newer_than": "24h"},
            {"any": [{"event": "purchase"} | where("amount", "gte", 10), {"tag": "vip"}]},
        ]
    }
    history = [did("form_submitted"), did("link_clicked"), did("link_clicked", NOON - days(1))]
    person = Person(*history, did("session_started"), tags=frozenset({"vip"}))
    assert person.around(asked, NOON + days(1)) == LEAVES
    assert not Person(*history, did("session_started")).meets(asked, NOON)


@pytest.mark.parametrize("field", ["message_sent", "message_delivered", "message_read"])
def test_b_the_chain_from_message_sent_to_link_clicked(field) -> None:
    chain = ["message_sent", "message_delivered", "message_read", "link_clicked"]
    asked = {"sequence": [{"event": it} for it in chain]}
    events = [did(name, NOON + timedelta(minutes=at)) for at, name in enumerate(chain)]
    assert Person(*reversed(events)).meets(asked, NOON + days(1))
    assert not Person(*(it for it in events if it.name != field)).meets(asked, NOON + days(1))


def test_b_an_action_at_11_pm_in_their_timezone_is_the_next_day_in_utc() -> None:
    late_at_night = datetime.fromisoformat("2026-02-28T23:00:00-05:00")
    assert Person(did("purchase", late_at_night)).meets(
        {"event": "purchase", "within": MARCH}, NOON
    )
    in_new_york = {"to": "2026-03-01T00:00:00-05:00"}
    asked = {"event": "purchase", "within": in_new_york}
    assert Person(did("purchase", late_at_night)).meets(asked, NOON)


def test_b_profile_session_and_segment_membership_conditions() -> None:
    asked = {
        "all": [
            {"attribute": "job_title", "op": "eq", "value": "Manager"},
            {"identifier": "email"},
            {"event": "session_started"},
            {"none": [{"segment": "churned"}]},
        ]
    }
    known = {"attributes": {"job_title": "Manager"}, "kinds": frozenset({"email"})}
    assert Person(did("session_started"), **known).meets(asked, NOON)
    churned = Person(did("session_started"), segments={"churned"}, **known)
    assert not churned.meets(asked, NOON)


def test_b_a_follow_up_is_due_24_hours_after_a_form_was_submitted() -> None:
    asked = {"event": "form_submitted", "occurrence": "last", "older_than": "24h"}
    assert Person(did("form_submitted")).around(asked, NOON + timedelta(hours=24)) == ENTERS
