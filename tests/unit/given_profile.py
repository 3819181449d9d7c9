"""Profile states from messages, without a ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.core.identifiers import message_digest
from domain.events import payload
from domain.events.message import Message
from domain.identity.routing import route_message
from domain.profiles import state as profile_state
from domain.profiles.state import ProfileState
from tests.builders import NOON, tracked

SECRET = b"a workspace's own secret"


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def message(kind: str, minute: int = 0, name: str = "", **document: Any) -> Message:
    """A call at a minute after noon with this payload; ``identifiers`` are its subject's."""
    identifiers = document.pop("identifiers", ())
    return tracked(
        name or kind,
        *identifiers,
        kind=kind,
        occurred_at=at(minute),
        payload=json.dumps(document, separators=(",", ":")).encode(),
    )


def identified(minute: int = 0, *identifiers: Any, **traits: Any) -> Message:
    return message("identify", minute, identifiers=identifiers, traits=traits)


def state_of(messages: Iterable[Message], state: ProfileState | None = None) -> ProfileState:
    state = ProfileState() if state is None else state
    for call in messages:
        event = route_message(call, UUID(bytes=message_digest(SECRET, call.message_id))).event
        profile_state.add(state, event, payload.parse(event))
    return state
