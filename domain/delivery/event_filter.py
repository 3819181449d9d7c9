"""Which events an outbound stream sends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from domain.conditions.events import matcher
from domain.conditions.names import EventName, name_test
from domain.conditions.values import Comparison
from domain.core.errors import InvalidRequest
from domain.events import payload
from domain.events.events import MessageEvent
from domain.events.message import MessageKind
from domain.events.payload import Document

MOST_NAMES = 1_000
NAME_LENGTH = 200


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
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


class Filter:
    """A definition, ready to be asked about events."""

    def __init__(self, stream: str, wanted: Definition) -> None:
        self._stream, self._wanted = stream, wanted
        self._matches = matcher(wanted.where)

    @cached_property
    def _names(self) -> list[Callable[[str], bool]]:
        return [name_test(it) for it in self._wanted.events]

    def taken(self, event: MessageEvent) -> Document | None:
        """Return what an event says if it is to be sent; None if it is not."""
        wanted = self._wanted
        if wanted.kinds and event.kind not in wanted.kinds:
            return None
        if self._names and not any(fits(event.name) for fits in self._names):
            return None
        if not lets_pass(event.payload, (self._stream, wanted.name)):
            return None
        said = payload.read(event)
        return said if self._matches({"properties": said.properties}) else None


class _Message(msgspec.Struct):
    integrations: Any = None


_message = msgspec.json.Decoder(_Message).decode


def lets_pass(message: bytes, names: tuple[str, ...]) -> bool:
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
    own = next((said[it] for it in names if it and it in said), None)
    return said.get("All") is not False if own is None else own is not False


def read(document: Any) -> Definition:
    """Return the definition that JSON spells.  Raises InvalidRequest."""
    try:
        wanted = msgspec.convert(document, Definition)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the stream cannot be read: {error}") from None
    if len(wanted.events) > MOST_NAMES or len(wanted.name) > NAME_LENGTH:
        raise InvalidRequest(
            f"a stream has at most {MOST_NAMES:,} names of events, and a name of its own of at"
            f" most {NAME_LENGTH} characters"
        )
    return wanted


encode = msgspec.json.Encoder(order="deterministic").encode
decode = msgspec.json.Decoder(Definition).decode
