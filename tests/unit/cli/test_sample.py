"""The sample customers of the demo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from interfaces.cli import sample_data
from interfaces.wire.base import WireLimits
from interfaces.wire.segment.bodies import parse_batch

EVENING = datetime(2026, 3, 1, 21, tzinfo=UTC)


def by_id(now: datetime) -> dict[str, sample_data.Message]:
    messages = sample_data.sample_messages(now)
    messages_by_id = {message["messageId"]: message for message in messages}
    assert len(messages_by_id) == len(messages), "ids are unique"
    return messages_by_id


def test_about_300_profiles_have_about_8000_events_of_the_last_30_days() -> None:
    messages = by_id(EVENING).values()
    assert 7_000 < len(messages) < 9_000
    assert (
        280
        < len({message["anonymousId"] for message in messages if "anonymousId" in message})
        <= 300
    )
    times = [message["timestamp"] for message in messages]
    assert times == sorted(times)
    assert EVENING - timedelta(days=30) < times[0]
    assert times[-1] <= EVENING


def test_a_later_call_returns_the_same_messages_and_newer_ones() -> None:
    before, after = by_id(EVENING), by_id(EVENING + timedelta(days=1))
    common = before.keys() & after.keys()
    assert len(common) > 7_000
    assert all(before[message_id] == after[message_id] for message_id in common)
    added = after.keys() - before.keys()
    assert 100 < len(added) < 1_500
    assert all(after[message_id]["timestamp"] > EVENING for message_id in added)


def test_every_kind_of_event_occurs() -> None:
    messages = by_id(EVENING).values()
    kinds = {message.get("event", message["type"]) for message in messages}
    assert kinds == {
        "page",
        "screen",
        "identify",
        "product_viewed",
        "added_to_cart",
        "order_completed",
        "message_sent",
        "message_delivered",
        "message_read",
        "link_clicked",
    }


def test_profiles_are_anonymous_until_they_sign_up() -> None:
    known: set[str] = set()
    for message in by_id(EVENING).values():
        anonymous = message.get("anonymousId")
        if message["type"] == "identify":
            known.add(anonymous)
        assert anonymous is None or ("userId" in message) == (anonymous in known)


def test_the_total_of_an_order_is_the_sum_of_its_items() -> None:
    orders = [
        message["properties"]
        for message in by_id(EVENING).values()
        if message.get("event") == "order_completed"
    ]
    assert len(orders) > 100
    for order in orders:
        cents = sum(round(100 * item["price"]) * item["quantity"] for item in order["items"])
        assert round(100 * order["total"]) == cents


def test_the_wire_format_accepts_all_messages() -> None:
    body = msgspec.json.encode({"batch": sample_data.sample_messages(EVENING)[:2_500]})
    parsed = parse_batch(
        body, received_at=EVENING, limits=WireLimits(), default_id=lambda: "none is missing"
    )
    assert (len(parsed.messages), parsed.rejections) == (2_500, [])
