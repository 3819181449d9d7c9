"""Every example of a segment in BotBat's "Building behavioral segments".

Each is evaluated just before, at and just after the instant at which its result changes.  A month is
30 days, a day is 24 hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.unit.conditions.profile_histories import NOON, Profile, days, did
from tests.unit.conditions.seed_terms import ENTERS, LEAVES, MARCH, where


def test_b_clicked_a_pricing_link_in_the_last_7_days() -> None:
    condition = {"event": "link_clicked", "within": {"last": "7d"}} | where(
        "url", "contains", "/pricing"
    )
    clicked = Profile(did("link_clicked", url="https://example.com/pricing?from=mail"))
    assert clicked.around(condition, NOON + days(7)) == LEAVES
    assert not Profile(did("link_clicked", url="https://example.com/")).satisfies(condition, NOON)


def test_b_completed_a_purchase_with_an_amount_greater_than_100_in_the_last_14_days() -> None:
    condition = {"event": "purchase", "within": {"last": "14d"}} | where("amount", "gt", 100)
    assert Profile(did("purchase", amount=100.01)).around(condition, NOON + days(14)) == LEAVES
    assert not Profile(did("purchase", amount=100)).satisfies(condition, NOON)


def test_b_event_occurrence_frequency_recency_or_property_values_together() -> None:
    condition = {
        "all": [
            {"event": "form_submitted"},
            {"event": "link_clicked", "count": {"at_least": 2}},
            {"event": "session_started", "occurrence": "last", "newer_than": "24h"},
            {"any": [{"event": "purchase"} | where("amount", "gte", 10), {"tag": "vip"}]},
        ]
    }
    history = [did("form_submitted"), did("link_clicked"), did("link_clicked", NOON - days(1))]
    profile = Profile(*history, did("session_started"), tags=frozenset({"vip"}))
    assert profile.around(condition, NOON + days(1)) == LEAVES
    assert not Profile(*history, did("session_started")).satisfies(condition, NOON)


@pytest.mark.parametrize("field", ["message_sent", "message_delivered", "message_read"])
def test_b_the_chain_from_message_sent_to_link_clicked(field) -> None:
    chain = ["message_sent", "message_delivered", "message_read", "link_clicked"]
    condition = {"sequence": [{"event": name} for name in chain]}
    events = [did(name, NOON + timedelta(minutes=at)) for at, name in enumerate(chain)]
    assert Profile(*reversed(events)).satisfies(condition, NOON + days(1))
    assert not Profile(*(event for event in events if event.name != field)).satisfies(
        condition, NOON + days(1)
    )


def test_b_an_action_at_11_pm_in_their_timezone_is_the_next_day_in_utc() -> None:
    late_at_night = datetime.fromisoformat("2026-02-28T23:00:00-05:00")
    assert Profile(did("purchase", late_at_night)).satisfies(
        {"event": "purchase", "within": MARCH}, NOON
    )
    in_new_york = {"to": "2026-03-01T00:00:00-05:00"}
    condition = {"event": "purchase", "within": in_new_york}
    assert Profile(did("purchase", late_at_night)).satisfies(condition, NOON)


def test_b_profile_session_and_segment_membership_conditions() -> None:
    condition = {
        "all": [
            {"attribute": "job_title", "op": "eq", "value": "Manager"},
            {"identifier": "email"},
            {"event": "session_started"},
            {"none": [{"segment": "churned"}]},
        ]
    }
    facts = {"attributes": {"job_title": "Manager"}, "identifier_kinds": frozenset({"email"})}
    assert Profile(did("session_started"), **facts).satisfies(condition, NOON)
    churned = Profile(did("session_started"), segments={"churned"}, **facts)
    assert not churned.satisfies(condition, NOON)


def test_b_a_follow_up_is_due_24_hours_after_a_form_was_submitted() -> None:
    condition = {"event": "form_submitted", "occurrence": "last", "older_than": "24h"}
    assert Profile(did("form_submitted")).around(condition, NOON + timedelta(hours=24)) == ENTERS
