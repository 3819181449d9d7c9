"""Histories without a ledger: events as it would give them out, from a list in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from domain.core.identifiers import Identifier, message_digest, stream_id, system_stream
from domain.events import payload
from domain.events.events import Event, IdentifiersLinked, MessageEvent
from domain.events.message import Message
from domain.events.recorded import RecordedEvent
from domain.identity.facts import facts_from_event, identifiers_in
from domain.identity.resolved_profile import find_profile
from domain.identity.routing import route_message
from domain.profiles import state as profile_state
from domain.profiles.as_of import LedgerPoint, ProfileAsOf
from domain.profiles.state import ProfileState
from tests.builders import NOON

SECRET = b"a workspace's own secret"


def stream_of(identifier: Identifier) -> UUID:
    return UUID(bytes=stream_id(SECRET, identifier))


class ListFeed:
    """The feed of a ledger that is a list for each workspace."""

    def __init__(self, **histories: Sequence[RecordedEvent]) -> None:
        self.workspaces: dict[int, list[RecordedEvent]] = {
            int(name.removeprefix("w")): list(history) for name, history in histories.items()
        }

    def read(self, workspace: int, after: int, limit: int) -> Sequence[RecordedEvent]:
        history = self.workspaces.get(workspace, [])
        return [it for it in history if it.position > after][:limit]

    def heads(self) -> Mapping[int, int]:
        return {it: history[-1].position for it, history in self.workspaces.items() if history}

    def clock(self, workspace: int) -> LedgerPoint:
        last = self.workspaces[workspace][-1]
        return LedgerPoint(last.position, last.recorded_at)

    def stream_of(self, workspace: int, identifier: Identifier) -> UUID:
        return stream_of(identifier)

    def event_at(self, workspace: int, position: int) -> RecordedEvent:
        return self.workspaces[workspace][position - 1]

    def profile_as_of(self, workspace: int, stream: UUID, when: int | datetime):
        return past(self.workspaces.get(workspace, []), stream, when)

    def identity_events_for(self, workspace: int, streams: Iterable[UUID]) -> Mapping[int, Event]:
        near, found = set(streams), {}
        facts_at = {
            it.position: (
                it.event,
                {stream_of(name) for fact in facts for name in identifiers_in(fact)},
            )
            for it in self.workspaces.get(workspace, [])
            if it.event is not None and (facts := facts_from_event(it.event))
        }
        while more := {at for at, (_, those) in facts_at.items() if those & near} - found.keys():
            for at in more:
                found[at], those = facts_at[at]
                near |= those
        return found


def recorded(messages: Iterable[Message], *, after: int = 0) -> list[RecordedEvent]:
    """Record the messages, and the links that they show, at the positions that follow."""
    versions: dict[UUID, int] = {}
    history: list[RecordedEvent] = []

    def add(stream: UUID, event: Event) -> None:
        position = after + len(history) + 1
        versions[stream] = versions.get(stream, 0) + 1
        at = NOON + timedelta(days=300, milliseconds=position)
        history.append(RecordedEvent(position, stream, versions[stream], at, event))

    for message in messages:
        decision = route_message(message, UUID(bytes=message_digest(SECRET, message.message_id)))
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


def past(
    history: Sequence[RecordedEvent], stream: UUID, when: int | datetime
) -> ProfileAsOf | None:
    """Return a profile as of a position or instant, from the history alone."""
    known = [
        it for it in history if when >= (it.position if isinstance(when, int) else it.recorded_at)
    ]
    profile = find_profile(
        stream, [fact for it in known if it.event for fact in facts_from_event(it.event)], stream_of
    )
    states: dict[UUID, ProfileState] = {}
    for it in known:
        if it.stream in profile.streams and isinstance(it.event, MessageEvent):
            state = states.setdefault(it.stream, ProfileState())
            profile_state.add(state, it.event, payload.parse(it.event))
    state = profile_state.merge(states, profile)
    place = LedgerPoint(known[-1].position, known[-1].recorded_at) if known else None
    return ProfileAsOf(place, profile, state) if place and state.identifiers else None


def with_payload(message: Message, payload: Any) -> Message:
    """Return the message with another payload: bytes as they are, anything else as JSON."""
    document = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return msgspec.structs.replace(message, payload=document)
