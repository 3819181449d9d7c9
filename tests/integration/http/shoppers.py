"""A data set of six hundred shoppers: its messages, and helpers to send and list them."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import msgspec

from interfaces.wire import FORMATS
from tests.integration.http.serving import Served

RECEIVED = datetime(2026, 6, 1, tzinfo=UTC)
ECOM = Path(__file__).parents[2] / "data" / "ecom.csv.gz"


def send(served: Served, messages: list[dict]) -> None:
    """Import messages as from an NDJSON file, and update the read models."""
    file = BytesIO(b"\n".join(map(msgspec.json.encode, messages)))
    read = FORMATS["ndjson"].read
    assert read is not None
    parsed = [message for _, message in read(file, received_at=RECEIVED)]
    for start in range(0, len(parsed), 2000):
        receipt = served.record(*parsed[start : start + 2000])
        assert receipt.rejected == receipt.duplicates == 0
    served.project()


def shopping() -> list[dict]:
    """Return a shop's clicks; each user is anonymous until the first purchase."""
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


CLOCK = "2024-04-01T00:00:00Z"
BOUGHT = {"event": "purchase"}
