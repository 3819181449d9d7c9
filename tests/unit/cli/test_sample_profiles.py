"""The named profiles of the demo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from interfaces.cli.sample_profiles import MERGED, PRIMARY, late_messages, named_messages
from interfaces.wire.base import WireLimits
from interfaces.wire.segment.bodies import parse_batch

EVENING = datetime(2026, 3, 1, 21, tzinfo=UTC)


def test_ids_are_fixed_so_that_a_second_run_adds_nothing() -> None:
    tomorrow = EVENING + timedelta(days=1)
    ids = [it["messageId"] for it in named_messages(EVENING) + late_messages(EVENING)]
    assert len(set(ids)) == len(ids)
    assert ids == [it["messageId"] for it in named_messages(tomorrow) + late_messages(tomorrow)]


def test_each_profile_is_in_time_order_but_for_the_late_order() -> None:
    for user in (PRIMARY, MERGED, "ben", "cem"):
        times = [it["timestamp"] for it in named_messages(EVENING) if it["userId"] == user]
        assert times == sorted(times)
        assert times[-1] <= EVENING
    [late] = late_messages(EVENING)
    assert late["timestamp"] < min(
        it["timestamp"] for it in named_messages(EVENING) if it["userId"] == late["userId"]
    )


def test_the_wire_accepts_them() -> None:
    messages = named_messages(EVENING) + late_messages(EVENING)
    body = msgspec.json.encode({"batch": messages})
    parsed = parse_batch(
        body, received_at=EVENING, limits=WireLimits(), default_id=lambda: "none is missing"
    )
    assert (len(parsed.messages), parsed.rejections) == (len(messages), [])
