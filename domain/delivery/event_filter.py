"""Filter of an outbound subscription: which events it sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.events import compile_where
from domain.conditions.values import Comparison
from domain.core.errors import InvalidRequest
from domain.core.validation import describe_problem
from domain.events import payload
from domain.events.events import MessageEvent
from domain.events.message import MessageKind
from domain.events.payload import ParsedMessage

MAX_EVENT_NAMES = 1_000
MAX_NAME_LENGTH = 200


class SubscriptionDefinition(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Definition of an outbound subscription: the events to send and the endpoint."""

    endpoint: str
    name: str = ""
    """Name by which messages address it in their ``integrations``, besides its id."""

    events: tuple[EventName, ...] = ()
    """Event names and patterns; empty: all events."""

    kinds: tuple[MessageKind, ...] = ()
    """Kinds of message; empty: all kinds."""

    where: tuple[Comparison, ...] = ()
    paused: bool = False
    """True: sends nothing for now; after that it continues from its position."""


class EventFilter:
    """A compiled subscription definition, to be applied to many events."""

    def __init__(self, subscription: str, definition: SubscriptionDefinition) -> None:
        self._subscription, self._definition = subscription, definition
        self._matches = compile_where(definition.where)

    @cached_property
    def _name_tests(self) -> list[Callable[[str], bool]]:
        return [compile_event_name(event_name) for event_name in self._definition.events]

    def select(self, event: MessageEvent) -> ParsedMessage | None:
        """Returns the parsed message if the event passes the filter, else None."""
        definition = self._definition
        if definition.kinds and event.kind not in definition.kinds:
            return None
        if self._name_tests and not any(matches(event.name) for matches in self._name_tests):
            return None
        if not integrations_allow(event.payload, (self._subscription, definition.name)):
            return None
        message = payload.parse(event)
        return message if self._matches({"properties": message.properties}) else None


class _Message(msgspec.Struct):
    integrations: Any = None


_message = msgspec.json.Decoder(_Message).decode


def integrations_allow(message: bytes, destinations: tuple[str, ...]) -> bool:
    """Returns whether a message's ``integrations`` allow a destination with one of these names.

    An entry for the destination itself wins over ``All``; without either the message is allowed.
    """
    if b'"integrations"' not in message:
        return True
    try:
        integrations = _message(message).integrations
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    if not isinstance(integrations, Mapping):
        return True
    own = next((integrations[name] for name in destinations if name and name in integrations), None)
    return integrations.get("All") is not False if own is None else own is not False


def parse_subscription(document: Any) -> SubscriptionDefinition:
    """Returns the subscription that a JSON document defines.  Raises InvalidRequest."""
    try:
        definition = msgspec.convert(document, SubscriptionDefinition)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            describe_problem(error, "subscription", SubscriptionDefinition)
        ) from None
    if len(definition.events) > MAX_EVENT_NAMES or len(definition.name) > MAX_NAME_LENGTH:
        raise InvalidRequest(
            f"a subscription has at most {MAX_EVENT_NAMES:,} event names, and its own name at most"
            f" {MAX_NAME_LENGTH} characters"
        )
    return definition


encode_subscription = msgspec.json.Encoder(order="deterministic").encode
decode_subscription = msgspec.json.Decoder(SubscriptionDefinition).decode
