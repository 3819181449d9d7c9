"""Which events an outbound stream sends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from domain.conditions.event_names import EventName, compile_event_name
from domain.conditions.events import compile_where
from domain.conditions.values import Comparison
from domain.core.errors import InvalidRequest
from domain.events import payload
from domain.events.events import MessageEvent
from domain.events.message import MessageKind
from domain.events.payload import ParsedMessage

MAX_EVENT_NAMES = 1_000
MAX_NAME_LENGTH = 200


class SubscriptionDefinition(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What somebody wants a stream to send, and where."""

    endpoint: str
    name: str = ""
    """What messages call it by in their ``integrations``, beside its id."""

    events: tuple[EventName, ...] = ()
    """Names, and patterns of names; none: all."""

    kinds: tuple[MessageKind, ...] = ()
    """None: all."""

    where: tuple[Comparison, ...] = ()
    paused: bool = False
    """Nothing is sent for now; it goes on later from where it stands."""


class EventFilter:
    """A definition, ready to be asked about events."""

    def __init__(self, subscription: str, definition: SubscriptionDefinition) -> None:
        self._subscription, self._definition = subscription, definition
        self._matches = compile_where(definition.where)

    @cached_property
    def _names(self) -> list[Callable[[str], bool]]:
        return [compile_event_name(it) for it in self._definition.events]

    def select(self, event: MessageEvent) -> ParsedMessage | None:
        """Return what an event says if it is to be sent; None if it is not."""
        wanted = self._definition
        if wanted.kinds and event.kind not in wanted.kinds:
            return None
        if self._names and not any(fits(event.name) for fits in self._names):
            return None
        if not integrations_allow(event.payload, (self._subscription, wanted.name)):
            return None
        said = payload.parse(event)
        return said if self._matches({"properties": said.properties}) else None


class _Message(msgspec.Struct):
    integrations: Any = None


_message = msgspec.json.Decoder(_Message).decode


def integrations_allow(message: bytes, destinations: tuple[str, ...]) -> bool:
    """Say whether a message's ``integrations`` let it go to a destination of these names.

    What is said of the destination itself counts before what is said of ``All``; without a word it may.
    """
    if b'"integrations"' not in message:
        return True
    try:
        said = _message(message).integrations
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return True
    if not isinstance(said, Mapping):
        return True
    own = next((said[it] for it in destinations if it and it in said), None)
    return said.get("All") is not False if own is None else own is not False


def parse_subscription(document: Any) -> SubscriptionDefinition:
    """Return the definition that JSON spells.  Raises InvalidRequest."""
    try:
        wanted = msgspec.convert(document, SubscriptionDefinition)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the stream cannot be read: {error}") from None
    if len(wanted.events) > MAX_EVENT_NAMES or len(wanted.name) > MAX_NAME_LENGTH:
        raise InvalidRequest(
            f"a stream has at most {MAX_EVENT_NAMES:,} names of events, and a name of its own of at"
            f" most {MAX_NAME_LENGTH} characters"
        )
    return wanted


encode_subscription = msgspec.json.Encoder(order="deterministic").encode
decode_subscription = msgspec.json.Decoder(SubscriptionDefinition).decode
