"""Routing of a message: its stream, its event class, and the identifier pairs that it links."""

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
    """Two identifiers that a message links."""

    left: Identifier
    right: Identifier


class IdentifierRouting(NamedTuple):
    """Routing that follows from the identifiers of a message alone."""

    subject: Identifier | None
    """The strongest identifier: the message is recorded in its stream."""

    links: tuple[IdentifierPair, ...]
    """All pairs, without blocked values."""


class RoutedMessage(NamedTuple):
    """The event that records a message, its subject and its links."""

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
    """Returns the event that records a message, its subject and its links.

    Needs no query: the stream is that of the strongest identifier, whatever the ledger contains.
    ``identifier_routing`` is the cached result for the message's identifiers, which repeat often.
    """
    subject, links = identifier_routing or route_identifiers(message.identifiers)
    event_class = SystemEventOccurred if subject is None else _EVENT_CLASS_OF_KIND[message.kind]
    event = event_class(
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
    fields: dict[str, Any] = {"actor": message.actor, "reason": message.reason}
    if message.kind == "merge":
        return fields | {"policy": message.policy}
    return fields | {"apart_from": message.apart_from}


def route_identifiers(identifiers: tuple[Identifier, ...]) -> IdentifierRouting:
    """Returns the routing of messages with these identifiers."""
    usable = sorted({identifier for identifier in identifiers if not is_blocked(identifier)})
    links = tuple(IdentifierPair(left, right) for left, right in combinations(usable, 2))
    return IdentifierRouting(strongest(identifiers), links)
