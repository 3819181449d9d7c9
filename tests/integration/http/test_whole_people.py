"""People come out whole, whichever order their history is sent in."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from random import Random

import msgspec
import pytest

from interfaces.wire import FORMATS
from tests.integration.http.serving import Served

RECEIVED = datetime(2026, 6, 1, tzinfo=UTC)
ECOM = Path(__file__).parents[2] / "data" / "ecom.csv.gz"


def send(served: Served, messages: list[dict]) -> None:
    """Import messages as from a file of one JSON object a line, and bring the read models up."""
    file = BytesIO(b"\n".join(map(msgspec.json.encode, messages)))
    read = FORMATS["ndjson"].read
    assert read is not None
    parsed = [message for _, message in read(file, received_at=RECEIVED)]
    for start in range(0, len(parsed), 2000):
        receipt = served.record(*parsed[start : start + 2000])
        assert receipt.rejected == receipt.duplicates == 0
    served.project()


def shopping() -> list[dict]:
    """A shop's clicks, each user a visitor without a name until their first purchase."""
    with gzip.open(ECOM, "rt") as lines:
        rows = list(csv.DictReader(lines))
    first: dict[str, str] = {}
    for row in rows:
        if row["event"] == "purchase":
            user = row["user_id"]
            first[user] = min(row["timestamp"], first.get(user, row["timestamp"]))
    return [
        {
            "type": "track",
            "event": row["event"],
            "messageId": f"row-{number}",
            "timestamp": row["timestamp"].replace(" ", "T") + "Z",
            "anonymousId": f"visitor of {row['user_id']}",
            "context": {"sessionId": row["session_id"]},
        }
        | (
            {"userId": row["user_id"]}
            if row["timestamp"] >= first.get(row["user_id"], "9999")
            else {}
        )
        for number, row in enumerate(rows)
    ]


def pages(served: Served, path: str, noun: str) -> list[dict]:
    found: list[dict] = []
    cursor = ""
    while True:
        page = served.get(f"{path}?limit=500{cursor}").json()
        found += page[noun]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("order", ["forward", "backward", "shuffled"])
def test_six_hundred_shoppers_are_whole_whichever_order_they_come_in(
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
    people = pages(served, "/v1/profiles", "profiles")
    assert len(people) == len({it["id"] for it in people}) == len(expected) == 600
    for visitor, theirs in expected.items():
        timeline = pages(served, f"/v1/profiles/anonymous_id:{visitor}/timeline", "timeline")
        assert {it["message_id"] for it in timeline if it["kind"] == "track"} == theirs
    buyers = [it for it in people if any(name["kind"] == "user_id" for name in it["identifiers"])]
    assert len(buyers) == 328
    assert all(len(it["identifiers"]) == 2 for it in buyers)


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
