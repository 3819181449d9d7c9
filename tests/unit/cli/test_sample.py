"""The sample customers of the demo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from interfaces.cli import sample_data
from interfaces.wire.base import WireLimits
from interfaces.wire.segment import parse_batch

EVENING = datetime(2026, 3, 1, 21, tzinfo=UTC)


def by_id(now: datetime) -> dict[str, sample_data.Message]:
    messages = sample_data.sample_messages(now)
    found = {it["messageId"]: it for it in messages}
    assert len(found) == len(messages), "ids are unique"
    return found


def test_there_are_about_300_people_with_about_8000_events_of_the_last_30_days() -> None:
    messages = by_id(EVENING).values()
    assert 7_000 < len(messages) < 9_000
    assert 280 < len({it["anonymousId"] for it in messages if "anonymousId" in it}) <= 300
    times = [it["timestamp"] for it in messages]
    assert times == sorted(times)
    assert EVENING - timedelta(days=30) < times[0]
    assert times[-1] <= EVENING


def test_asking_later_gives_the_same_messages_and_those_since() -> None:
    before, after = by_id(EVENING), by_id(EVENING + timedelta(days=1))
    kept = before.keys() & after.keys()
    assert len(kept) > 7_000
    assert all(before[it] == after[it] for it in kept)
    assert 100 < len(after.keys() - before.keys()) < 1_500
    assert all(after[it]["timestamp"] > EVENING for it in after.keys() - before.keys())


def test_every_kind_of_thing_happens() -> None:
    messages = by_id(EVENING).values()
    happened = {it.get("event", it["type"]) for it in messages}
    assert happened == {
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


def test_people_are_anonymous_until_they_say_who_they_are() -> None:
    known: set[str] = set()
    for message in by_id(EVENING).values():
        anonymous = message.get("anonymousId")
        if message["type"] == "identify":
            known.add(anonymous)
        assert anonymous is None or ("userId" in message) == (anonymous in known)


def test_an_order_s_total_is_that_of_its_items() -> None:
    orders = [
        it["properties"] for it in by_id(EVENING).values() if it.get("event") == "order_completed"
    ]
    assert len(orders) > 100
    for order in orders:
        cents = sum(round(100 * it["price"]) * it["quantity"] for it in order["items"])
        assert round(100 * order["total"]) == cents


def test_the_wire_accepts_all_of_it() -> None:
    body = msgspec.json.encode({"batch": sample_data.sample_messages(EVENING)[:2_500]})
    parsed = parse_batch(
        body, received_at=EVENING, limits=WireLimits(), default_id=lambda: "none is missing"
    )
    assert (len(parsed.messages), parsed.rejections) == (2_500, [])
