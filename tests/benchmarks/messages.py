"""Messages as a shop's servers send them: about 450 bytes, 20 event names, 20,000 profiles."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

PROFILES = 20_000

NAMES = (
    "product_viewed", "page_opened", "product_list_viewed", "search_performed", "product_added",
    "session_started", "cart_viewed", "checkout_started", "coupon_entered", "payment_info_entered",
    "order_completed", "wishlist_product_added", "product_removed", "email_opened", "email_clicked",
    "push_opened", "review_submitted", "support_contacted", "order_refunded", "account_deleted",
)  # fmt: skip
WEIGHTS = [1 / rank for rank in range(1, len(NAMES) + 1)]

KINDS_OF_GOODS = ("monitor", "keyboard", "cable", "laptop", "chair", "lamp", "desk")


def user_id(number: int) -> str:
    return f"user-{number}"


def anonymous_id(number: int) -> str:
    return str(UUID(int=0xA0000000_0000_4000_8000_000000000000 + number))


def track(chance: random.Random, *, two_ids: bool = False) -> dict[str, Any]:
    """Returns one message of a random profile."""
    profile = chance.randrange(PROFILES)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {
        "type": "track",
        "event": chance.choices(NAMES, WEIGHTS)[0],
        "userId": user_id(profile),
        "messageId": str(UUID(int=chance.getrandbits(128), version=4)),
        "timestamp": now,
        "properties": {
            "product_id": f"sku-{chance.randrange(5_000)}",
            "category": chance.choice(KINDS_OF_GOODS),
            "price": chance.randrange(100, 50_000) / 100,
            "quantity": chance.randrange(1, 5),
            "currency": "EUR",
            "total": chance.randrange(100, 200_000) / 100,
        },
        "context": {
            "library": {"name": "analytics-node", "version": "2.3.0"},
            "sessionId": f"s-{profile}-{chance.randrange(20)}",
            "locale": "de-DE",
            "ip": "198.51.100.7",
        },
    }
    if two_ids:
        message["anonymousId"] = anonymous_id(profile)
    return message


def batches(count: int, size: int, *, two_ids: bool = False) -> list[bytes]:
    """Returns the bodies of requests with ``count`` messages in total."""
    chance = random.Random()
    return [
        msgspec.json.encode({"batch": [track(chance, two_ids=two_ids) for _ in range(part)]})
        for part in _parts(count, size)
    ]


def singles(count: int) -> list[bytes]:
    """Returns the bodies of requests with one message each."""
    chance = random.Random()
    return [msgspec.json.encode(track(chance)) for _ in range(count)]


def _parts(count: int, size: int) -> list[int]:
    return [min(size, count - done) for done in range(0, count, size)]
