"""Profiles are complete in any order of arrival."""

from __future__ import annotations

from collections import defaultdict
from random import Random

import pytest

from tests.integration.http.serving import Served
from tests.integration.http.shoppers import pages, send, shopping


@pytest.mark.nightly
@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_six_hundred_shoppers_are_complete_in_any_order_of_arrival(
    served: Served, order: str
) -> None:
    messages = shopping()
    sent = list(messages)
    if order == "backward":
        sent.reverse()
    elif order == "shuffled":
        Random(7).shuffle(sent)
    send(served, sent)

    expected: dict[str, set[str]] = defaultdict(set)
    for each in messages:
        expected[each["anonymousId"]].add(each["messageId"])
    profiles = pages(served, "/v1/profiles", "profiles")
    assert len(profiles) == len({item["id"] for item in profiles}) == len(expected) == 600
    for visitor, theirs in expected.items():
        timeline = pages(served, f"/v1/profiles/anonymous_id:{visitor}/timeline", "timeline")
        assert {item["message_id"] for item in timeline if item["kind"] == "track"} == theirs
    buyers = [
        item for item in profiles if any(name["kind"] == "user_id" for name in item["identifiers"])
    ]
    assert len(buyers) == 328
    assert all(len(item["identifiers"]) == 2 for item in buyers)


def identify(at: str, message_id: str, **traits: str) -> dict:
    return {
        "type": "identify",
        "userId": "u-1",
        "messageId": message_id,
        "timestamp": at,
        "traits": traits,
    }


def test_posthog_37000_an_import_of_older_identifies_does_not_overwrite_newer_attributes(
    served: Served,
) -> None:
    send(served, [identify("2026-03-01T00:00:00Z", "live", plan="pro", city="Zagreb")])
    send(
        served,
        [
            identify("2024-01-01T00:00:00Z", "old-1", plan="free", shoe_size="42"),
            identify("2025-01-01T00:00:00Z", "old-2", plan="trial", city="Split"),
        ],
    )
    profile = served.get("/v1/profiles/user_id:u-1").json()
    assert profile["attributes"] == {"plan": "pro", "city": "Zagreb", "shoe_size": "42"}
    assert profile["first_seen"] == "2024-01-01T00:00:00.000000Z"
