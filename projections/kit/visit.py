"""What the context of a message says about a visit: where, on which device, from which campaign."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from domain.core import sanitise
from domain.events.payload import MessageContext, ParsedMessage
from projections.kit import user_agent
from projections.kit.user_agent import UserAgentClient

_NO_CONTEXT = MessageContext()
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_decode = msgspec.json.Decoder().decode


def context_of(document: ParsedMessage) -> MessageContext:
    """Return the context of a message, an empty one if it has none."""
    return document.parts.context or _NO_CONTEXT


def client_of(context: MessageContext) -> UserAgentClient:
    """Return browser and device by the User-Agent."""
    said = context.userAgent
    return (
        user_agent.parse_user_agent(sanitise.storable_text(said))
        if isinstance(said, str)
        else user_agent.UNKNOWN
    )


def decode_object(document: msgspec.Raw) -> Mapping[str, Any]:
    """Return the members of a part of the context; none if it is no object.  Never fails."""
    text = bytes(document)
    if text[:1] != b"{":
        return _NOTHING
    try:
        found: dict[str, Any] = _decode(text)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return _NOTHING
    return found


def first_text(*values: Any) -> str | None:
    """Return the first that is text and not blank, fit for PostgreSQL."""
    return next(
        (sanitise.storable_text(it) for it in values if isinstance(it, str) and it.strip()), None
    )
