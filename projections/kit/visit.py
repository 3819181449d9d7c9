"""Reads the context of a message: page, device and campaign of a visit."""

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
    """Returns the context of a message, an empty one if it has none."""
    return document.parts.context or _NO_CONTEXT


def client_of(context: MessageContext) -> UserAgentClient:
    """Returns browser and device of the context's User-Agent."""
    agent = context.userAgent
    return (
        user_agent.parse_user_agent(sanitise.storable_text(agent))
        if isinstance(agent, str)
        else user_agent.UNKNOWN
    )


def decode_object(document: msgspec.Raw) -> Mapping[str, Any]:
    """Returns the members of a part of the context; none if it is not an object.  Never fails."""
    text = bytes(document)
    if text[:1] != b"{":
        return _NOTHING
    try:
        members: dict[str, Any] = _decode(text)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return _NOTHING
    return members


def first_text(*values: Any) -> str | None:
    """Returns the first value that is text and not blank, made storable."""
    return next(
        (sanitise.storable_text(v) for v in values if isinstance(v, str) and v.strip()), None
    )
