"""Histories without a ledger: events as it would give them out, from a list in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.events import Event, IdentifiersLinked
from domain.identifiers import Identifier, message_digest, stream_id, system_stream
from domain.message import Message
from domain.profile import decide
from domain.recorded import Recorded
from tests.builders import NOON

SECRET = b"a workspace's own secret"


def stream_of(identifier: Identifier) -> UUID:
    return UUID(bytes=stream_id(SECRET, identifier))


class ListFeed:
    """The feed of a ledger that is a list for each workspace."""

    def __init__(self, **histories: Sequence[Recorded]) -> None:
        self.workspaces: dict[int, list[Recorded]] = {
            int(name.removeprefix("w")): list(history) for name, history in histories.items()
        }

    def read(self, workspace: int, after: int, limit: int) -> Sequence[Recorded]:
        history = self.workspaces.get(workspace, [])
        return [it for it in history if it.position > after][:limit]

    def heads(self) -> Mapping[int, int]:
        return {it: history[-1].position for it, history in self.workspaces.items() if history}

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        return stream_of(identifier)


def recorded(messages: Iterable[Message], *, after: int = 0) -> list[Recorded]:
    """Record the messages, and the links that they show, at the positions that follow."""
    versions: dict[UUID, int] = {}
    history: list[Recorded] = []

    def add(stream: UUID, event: Event) -> None:
        position = after + len(history) + 1
        versions[stream] = versions.get(stream, 0) + 1
        at = NOON + timedelta(days=300, milliseconds=position)
        history.append(Recorded(position, stream, versions[stream], at, event))

    for message in messages:
        decision = decide(message, UUID(bytes=message_digest(SECRET, message.message_id)))
        subject = decision.subject
        stream = UUID(bytes=system_stream(SECRET)) if subject is None else stream_of(subject)
        add(stream, decision.event)
        for left, right in decision.links:
            link = IdentifiersLinked(
                id=UUID(int=len(history)),
                left=left,
                right=right,
                occurred_at=message.occurred_at,
                received_at=message.received_at,
                shown_by=decision.event.id,
            )
            add(stream, link)
    return history


def with_payload(message: Message, payload: Any) -> Message:
    """Return the message with another payload: bytes as they are, anything else as JSON."""
    document = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return msgspec.structs.replace(message, payload=document)
