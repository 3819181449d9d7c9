"""Examples in the words of the domain, each with everything said that matters to nobody."""

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
    """A track message of `u-1`, unless told otherwise, with an id of its own."""
    message_id = facts.pop("message_id", f"m-{next(_ids)}")
    properties = facts.pop("properties", {})
    who = identifiers or (user(),)
    payload = {"type": "track", "event": name, "messageId": message_id, "properties": properties}
    return Message(
        **{
            "kind": "track",
            "name": name,
            "message_id": message_id,
            "identifiers": who,
            "occurred_at": NOON,
            "received_at": NOON,
            "source": "segment",
            "payload": msgspec.json.encode(payload),
        }
        | facts
    )


def merged(primary: Identifier, secondary: Identifier, **facts: Any) -> Message:
    """A person's decision that two identifiers are one profile's."""
    return _decided("merge", primary, facts | {"absorbs": (secondary,)})


def unmerged(identifier: Identifier, *apart_from: Identifier, **facts: Any) -> Message:
    """A person's decision that an identifier is somebody else than the others."""
    return _decided("unmerge", identifier, facts | {"apart_from": apart_from})


def _decided(kind: str, subject: Identifier, facts: dict[str, Any]) -> Message:
    said = {"kind": kind, "source": "foldline", "actor": "key-1", "reason": "a test"}
    return tracked(kind, subject, **said | facts)
