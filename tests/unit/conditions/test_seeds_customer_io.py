"""Every example of a segment in Customer.io's "Event segments", and what is said of event data.

Each is asked just before, at and just after the instant at which its answer changes.  A month is 30 days,
a day is 24 hours.
"""

from __future__ import annotations

import pytest

from tests.unit.conditions.asking import NOON, Did, Person, days, did
from tests.unit.conditions.seeds import ENTERS, LEAVES, NOBODY, where


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
