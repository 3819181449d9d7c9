"""Profiles from messages, with no ledger in between."""

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
    """A call at some minute after noon, with this for its payload."""
    who = document.pop("who", ())
    return tracked(
        name or kind,
        *who,
        kind=kind,
        occurred_at=at(minute),
        payload=json.dumps(document, separators=(",", ":")).encode(),
    )


def identified(minute: int = 0, *who: Any, **traits: Any) -> Message:
    return message("identify", minute, who=who, traits=traits)


def state_of(messages: Iterable[Message], state: ProfileState | None = None) -> ProfileState:
    state = ProfileState() if state is None else state
    for each in messages:
        event = route_message(each, UUID(bytes=message_digest(SECRET, each.message_id))).event
        profile_state.add(state, event, payload.parse(event))
    return state
