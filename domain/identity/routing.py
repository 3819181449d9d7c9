"""What a message means for a person: whose stream takes it, as which event, and what it links."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.core.identifiers import Identifier, is_blocked, strongest
from domain.events.events import (
    AttributesChanged,
    EventTracked,
    MessageEvent,
    ProfilesMerged,
    ProfilesUnmerged,
    SystemEventOccurred,
)
from domain.events.message import Message


class IdentifierPair(NamedTuple):
    """Two identifiers that a message showed to belong to one person."""

    left: Identifier
    right: Identifier


class IdentifierRouting(NamedTuple):
    """What the identifiers of a message alone say."""

    subject: Identifier | None
    """The one in whose stream the message is recorded: the strongest."""

    links: tuple[IdentifierPair, ...]
    """Each pair that may link; blocked values never do."""


class RoutedMessage(NamedTuple):
    """What the ledger is asked to remember of one message."""

    subject: Identifier | None
    event: MessageEvent
    links: tuple[IdentifierPair, ...]


_EVENT_CLASS_OF_KIND: dict[str, type[MessageEvent]] = {
    "track": EventTracked,
    "page": EventTracked,
    "screen": EventTracked,
    "group": EventTracked,
    "identify": AttributesChanged,
    "alias": ProfilesMerged,
    "merge": ProfilesMerged,
    "unmerge": ProfilesUnmerged,
}


def route_message(
    message: Message, event_id: UUID, identifier_routing: IdentifierRouting | None = None
) -> RoutedMessage:
    """Say which event records the message, in whose stream, and which links it shows.

    Needs no look-up: the stream is that of the strongest identifier, whatever else is known.
    ``about`` is the concern of its identifiers, if it is at hand: the same people come again and again.
    """
    subject, links = identifier_routing or route_identifiers(message.identifiers)
    recorded_as = SystemEventOccurred if subject is None else _EVENT_CLASS_OF_KIND[message.kind]
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
    if message.kind in _COMMAND_KINDS:
        event = msgspec.structs.replace(event, **_command_fields(message))
    return RoutedMessage(subject, event, links if message.linked else ())


_COMMAND_KINDS = frozenset(("merge", "unmerge"))


def _command_fields(message: Message) -> dict[str, Any]:
    decided: dict[str, Any] = {"actor": message.actor, "reason": message.reason}
    if message.kind == "merge":
        return decided | {"policy": message.policy}
    return decided | {"apart_from": message.apart_from}


def route_identifiers(identifiers: tuple[Identifier, ...]) -> IdentifierRouting:
    """Return whom a message with these identifiers is about."""
    usable = sorted({it for it in identifiers if not is_blocked(it)})
    links = tuple(IdentifierPair(left, right) for left, right in combinations(usable, 2))
    return IdentifierRouting(strongest(identifiers), links)
