"""Every example of a segment in Customer.io's "Event segments", and of event data.

Each is evaluated just before, at and just after the instant at which its result changes.  A month is
30 days, a day is 24 hours.
"""

from __future__ import annotations

import pytest

from tests.unit.conditions.profile_histories import NOON, PastEvent, Profile, days, did
from tests.unit.conditions.seed_terms import ENTERS, LEAVES, NEW_PROFILE, where


def test_j_have_invited_friend_in_the_last_14_days() -> None:
    condition = {"event": "invited_friend", "within": {"last": "14d"}}
    assert Profile(did("invited_friend")).around(condition, NOON + days(14)) == LEAVES
    assert not NEW_PROFILE.satisfies(condition, NOON)


def test_j_have_not_created_project_in_30_days() -> None:
    condition = {"event": "created_project", "count": {"exactly": 0}, "within": {"last": "30d"}}
    assert Profile(did("created_project")).around(condition, NOON + days(30)) == ENTERS
    assert NEW_PROFILE.satisfies(condition, NOON)


def test_j_have_done_without_a_timeframe_is_for_ever() -> None:
    condition = {"event": "created_project"}
    assert Profile(did("created_project")).satisfies(condition, NOON + days(36_500))
    assert not NEW_PROFILE.satisfies(condition, NOON)


def test_j_have_not_done_without_a_timeframe() -> None:
    condition = {"event": "created_project", "count": {"exactly": 0}}
    assert NEW_PROFILE.satisfies(condition, NOON)
    assert not Profile(did("created_project")).satisfies(condition, NOON + days(36_500))


def test_j_made_purchase_has_been_performed_at_least_once_in_the_past_90_days() -> None:
    """Events older than 30 days are gone from their activity log, but not from segments."""
    condition = {"event": "made_purchase", "count": {"at_least": 1}, "within": {"last": "90d"}}
    old = Profile(did("made_purchase", NOON - days(60)))
    assert old.satisfies(condition, NOON)
    assert old.around(condition, NOON + days(30)) == LEAVES


def test_j_abandoned_their_cart_with_a_monitor() -> None:
    condition = {"event": "abandoned_cart"} | where("items[].type", "eq", "monitor")
    monitor = {"category": "computers", "type": "monitor", "price": 200}
    cable = {"category": "cables", "type": "hdmi", "price": 15}
    assert Profile(did("abandoned_cart", total=215, items=[monitor, cable])).satisfies(
        condition, NOON
    )
    assert not Profile(did("abandoned_cart", total=15, items=[cable])).satisfies(condition, NOON)
    assert not Profile(did("abandoned_cart", items=[])).satisfies(condition, NOON)


@pytest.mark.parametrize("sent", ["Likes_pizza", " likes_pizza", "likes_pizza ", "likes pizza"])
def test_j_the_name_in_the_segment_and_the_name_that_was_sent_are_the_same(sent) -> None:
    assert not Profile(did(sent)).satisfies({"event": "likes_pizza"}, NOON)
    assert Profile(did(sent)).satisfies({"event": sent}, NOON)


@pytest.mark.parametrize("name", ["a*", "a+b", "a|b", "a\\b", "*"])
def test_j_names_can_include_special_characters(name) -> None:
    assert Profile(did(name)).satisfies({"event": name}, NOON)
    assert not Profile(did("ab"), did("a"), did("b")).satisfies({"event": name}, NOON)


def test_j_event_data_with_spaces_in_its_names() -> None:
    condition = {
        "event": "signed_up",
        "where": [{"path": 'properties["sign up date"]', "op": "on", "value": "2026-03-01"}],
    }
    assert Profile(
        PastEvent("signed_up", NOON, {"sign up date": "2026-03-01T23:59:59Z"})
    ).satisfies(condition, NOON)
    assert not Profile(PastEvent("signed_up", NOON, {"sign up date": "2026-03-02"})).satisfies(
        condition, NOON
    )


def test_j_a_column_with_a_dot_in_its_name_is_one_name() -> None:
    condition = {
        "event": "imported",
        "where": [{"path": 'properties["property.subproperty"]', "op": "eq", "value": "x"}],
    }
    assert Profile(PastEvent("imported", NOON, {"property.subproperty": "x"})).satisfies(
        condition, NOON
    )
    assert not Profile(did("imported", property={"subproperty": "x"})).satisfies(condition, NOON)


def test_j_form_values_are_text_not_numbers() -> None:
    condition = {"event": "purchased"} | where("price", "gt", 20)
    assert Profile(did("purchased", price=23.45)).satisfies(condition, NOON)
    assert not Profile(did("purchased", price="23.45")).satisfies(condition, NOON)


def test_j_back_dated_events_count_when_they_happened() -> None:
    condition = {"event": "made_purchase", "count": {"at_least": 2}, "within": {"last": "30d"}}
    in_order = Profile(did("made_purchase", NOON - days(20)), did("made_purchase"))
    late = Profile(did("made_purchase"), did("made_purchase", NOON - days(20)))
    assert in_order.around(condition, NOON + days(10)) == LEAVES
    assert late.around(condition, NOON + days(10)) == LEAVES


def test_j_anonymous_events_belong_to_the_profile_after_identification() -> None:
    condition = {"event": "page_view", "count": {"at_least": 2}, "within": {"last": "30d"}}
    visitor = PastEvent("page_view", NOON - days(1), {}, stream=1)
    assert Profile(visitor, PastEvent("page_view", NOON, {}, stream=2)).around(
        condition, NOON + days(29)
    ) == (
        True,
        False,
        False,
    )


def test_j_an_event_deduplicated_by_id_counts_once() -> None:
    """Duplicates are refused before evaluation; a resent event with another id is another event."""
    condition = {"event": "my event", "count": {"at_least": 2}}
    assert not Profile(did("my event")).satisfies(condition, NOON)
    assert Profile(did("my event"), did("my event")).satisfies(condition, NOON)
