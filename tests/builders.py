"""Builders of messages, with defaults for everything that a test does not care about."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

from domain.core.identifiers import Identifier
from domain.events.message import Message

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ids = count(1)


def user(value: str = "u-1") -> Identifier:
    return Identifier("user_id", value)


def anonymous(value: str = "a-1") -> Identifier:
    return Identifier("anonymous_id", value)


def tracked(name: str = "Viewed", *identifiers: Identifier, **facts: Any) -> Message:
    """A track message with a new id, by default of `u-1`; ``facts`` override its fields."""
    message_id = facts.pop("message_id", f"m-{next(_ids)}")
    properties = facts.pop("properties", {})
    payload = {"type": "track", "event": name, "messageId": message_id, "properties": properties}
    return Message(
        **{
            "kind": "track",
            "name": name,
            "message_id": message_id,
            "identifiers": identifiers or (user(),),
            "occurred_at": NOON,
            "received_at": NOON,
            "source": "segment",
            "payload": msgspec.json.encode(payload),
        }
        | facts
    )


def merged(primary: Identifier, secondary: Identifier, **facts: Any) -> Message:
    """A merge command of an operator."""
    return _command("merge", primary, facts | {"absorbs": (secondary,)})


def unmerged(identifier: Identifier, *apart_from: Identifier, **facts: Any) -> Message:
    """An unmerge command of an operator."""
    return _command("unmerge", identifier, facts | {"apart_from": apart_from})


def _command(kind: str, subject: Identifier, facts: dict[str, Any]) -> Message:
    defaults = {"kind": kind, "source": "foldline", "actor": "key-1", "reason": "a test"}
    return tracked(kind, subject, **defaults | facts)
