"""The Profile: what a message means for a person, and what their stream adds up to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID

from domain.events import (
    NIL,
    AttributesChanged,
    Erased,
    Event,
    IdentifiersLinked,
    Merged,
    MessageEvent,
    Suppressed,
    SuppressionLifted,
    SystemOccurred,
    Tracked,
    Unmerged,
)
from domain.identifiers import Identifier, is_blocked, strongest
from domain.message import Message


class Link(NamedTuple):
    """Two identifiers that a message showed to belong to one person."""

    left: Identifier
    right: Identifier


class Decision(NamedTuple):
    """What the ledger is asked to remember of one message."""

    subject: Identifier | None
    event: MessageEvent
    links: tuple[Link, ...]


_RECORDED_AS: dict[str, type[MessageEvent]] = {
    "track": Tracked,
    "page": Tracked,
    "screen": Tracked,
    "group": Tracked,
    "identify": AttributesChanged,
    "alias": Merged,
    "merge": Merged,
    "unmerge": Unmerged,
}


def decide(message: Message, event_id: UUID) -> Decision:
    """Say which event records the message, in whose stream, and which links it shows.

    Needs no look-up: the stream is that of the strongest identifier, whatever else is known.
    """
    identifiers = message.identifiers
    subject = identifiers[0] if len(identifiers) == 1 else strongest(identifiers)
    recorded_as = SystemOccurred if subject is None else _RECORDED_AS[message.kind]
    decided = _decided(message) if message.kind in _DECIDED else {}
    event = recorded_as(
        id=event_id,
        message_id=message.message_id,
        kind=message.kind,
        name=message.name,
        subject=subject,
        occurred_at=message.occurred_at,
        sent_at=message.sent_at,
        received_at=message.received_at,
        source=message.source,
        payload=message.payload,
        raw=message.raw,
        absorbed=message.absorbs,
        **decided,
    )
    links = links_shown(identifiers) if message.linked and len(identifiers) > 1 else ()
    return Decision(subject, event, links)


_DECIDED = frozenset(("merge", "unmerge"))


def _decided(message: Message) -> dict[str, Any]:
    decided: dict[str, Any] = {"actor": message.actor, "reason": message.reason}
    if message.kind == "merge":
        return decided | {"policy": message.policy}
    return decided | {"apart_from": message.apart_from}


@lru_cache(maxsize=65_536)  # the same people come again and again
def links_shown(identifiers: tuple[Identifier, ...]) -> tuple[Link, ...]:
    """Return each pair of the identifiers that may link; blocked values never do."""
    usable = sorted({it for it in identifiers if not is_blocked(it)})
    return tuple(Link(left, right) for left, right in combinations(usable, 2))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What one stream adds up to.  Rebuilt from its events alone, in any order of occurrence."""

    id: UUID = NIL
    version: int = 0
    subject: Identifier | None = None
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    messages: dict[str, int] = field(default_factory=dict)
    """How many messages of each name."""

    linked: frozenset[Identifier] = frozenset()
    absorbed: frozenset[Identifier] = frozenset()

    def after(self, event: Event) -> Profile:
        """Return the profile as it is once the event is known."""
        known = replace(self, id=event.originator_id, version=event.originator_version)
        return _FOLDS[type(event)](known, event)


def replay(profile: Profile | None, events: Iterable[Event]) -> Profile | None:
    """Fold events into a profile: the projector function that the library's Repository takes."""
    for event in events:
        profile = (profile or Profile()).after(event)
    return profile


def _seen(profile: Profile, event: Event) -> Profile:
    assert isinstance(event, MessageEvent)
    at = event.occurred_at
    return replace(
        profile,
        subject=event.subject,
        first_seen=min(at, profile.first_seen or at),
        last_seen=max(at, profile.last_seen or at),
        messages=profile.messages | {event.name: profile.messages.get(event.name, 0) + 1},
    )


def _merged(profile: Profile, event: Event) -> Profile:
    assert isinstance(event, Merged)
    seen = _seen(profile, event)
    return replace(seen, absorbed=seen.absorbed | set(event.absorbed))


def _linked(profile: Profile, event: Event) -> Profile:
    assert isinstance(event, IdentifiersLinked)
    return replace(profile, linked=profile.linked | {event.left, event.right})


_FOLDS: dict[type[Event], Callable[[Profile, Event], Profile]] = {
    Tracked: _seen,
    AttributesChanged: _seen,
    SystemOccurred: _seen,
    Merged: _merged,
    Unmerged: _seen,
    Erased: lambda profile, _event: profile,
    Suppressed: lambda profile, _event: profile,
    SuppressionLifted: lambda profile, _event: profile,
    IdentifiersLinked: _linked,
}
