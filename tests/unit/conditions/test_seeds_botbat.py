"""Every example of a segment in BotBat's "Building behavioral segments".

Each is asked just before, at and just after the instant at which its answer changes.  A month is 30 days,
a day is 24 hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.unit.conditions.asking import NOON, Person, days, did
from tests.unit.conditions.seeds import ENTERS, LEAVES, MARCH, where


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
    known = {"attributes": {"job_title": "Manager"}, "identifier_kinds": frozenset({"email"})}
    assert Person(did("session_started"), **known).meets(asked, NOON)
    churned = Person(did("session_started"), segments={"churned"}, **known)
    assert not churned.meets(asked, NOON)


def test_b_a_follow_up_is_due_24_hours_after_a_form_was_submitted() -> None:
    asked = {"event": "form_submitted", "occurrence": "last", "older_than": "24h"}
    assert Person(did("form_submitted")).around(asked, NOON + timedelta(hours=24)) == ENTERS
