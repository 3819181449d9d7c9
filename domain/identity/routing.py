"""What a message means for a person: whose stream takes it, as which event, and what it links."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.core.identifiers import Identifier, is_blocked, strongest
from domain.events.events import (
    AttributesChanged,
    Merged,
    MessageEvent,
    SystemOccurred,
    Tracked,
    Unmerged,
)
from domain.events.message import Message


class Link(NamedTuple):
    """Two identifiers that a message showed to belong to one person."""

    left: Identifier
    right: Identifier


class Concern(NamedTuple):
    """What the identifiers of a message alone say."""

    subject: Identifier | None
    """The one in whose stream the message is recorded: the strongest."""

    links: tuple[Link, ...]
    """Each pair that may link; blocked values never do."""


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


def decide(message: Message, event_id: UUID, about: Concern | None = None) -> Decision:
    """Say which event records the message, in whose stream, and which links it shows.

    Needs no look-up: the stream is that of the strongest identifier, whatever else is known.
    ``about`` is the concern of its identifiers, if it is at hand: the same people come again and again.
    """
    subject, links = about or concern(message.identifiers)
    recorded_as = SystemOccurred if subject is None else _RECORDED_AS[message.kind]
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
    )
    if message.kind in _DECIDED:
        event = msgspec.structs.replace(event, **_decided(message))
    return Decision(subject, event, links if message.linked else ())


_DECIDED = frozenset(("merge", "unmerge"))


def _decided(message: Message) -> dict[str, Any]:
    decided: dict[str, Any] = {"actor": message.actor, "reason": message.reason}
    if message.kind == "merge":
        return decided | {"policy": message.policy}
    return decided | {"apart_from": message.apart_from}


def concern(identifiers: tuple[Identifier, ...]) -> Concern:
    """Return whom a message with these identifiers is about."""
    usable = sorted({it for it in identifiers if not is_blocked(it)})
    links = tuple(Link(left, right) for left, right in combinations(usable, 2))
    return Concern(strongest(identifiers), links)
