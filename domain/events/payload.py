"""Parsing of message payloads into the form that profiles and read models use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw

from domain.core import sanitise
from domain.events.events import MessageEvent

MAX_NAME_LENGTH = 256
"""Longest event name, session id and channel in read models, in characters.

An index entry of PostgreSQL holds at most 2,704 bytes; the ledger keeps the full text.
"""

_CHANNEL_OF_LIBRARY = {
    "mobile": {"android", "flutter", "ios", "kotlin", "native", "swift"},
    "server": {"go", "java", "net", "node", "php", "python", "ruby", "rust"},
    "web": {"browser", "javascript", "js", "web"},
}
"""Channels by words in the name of the client library; the first match counts."""

_SESSION_EVENTS = {"sessionstarted", "sessionstart", "sessionended", "sessionend"}


class ParsedMessage(msgspec.Struct, frozen=True, gc=False):
    """A message as read models use it.  Everything except ``parts`` can be stored in PostgreSQL."""

    name: str
    properties: dict[str, Any]
    properties_json: bytes
    """The same as JSON text, with numbers as they were received."""

    channel: str | None
    session_id: str | None
    parts: PayloadParts


class MessageContext(msgspec.Struct, gc=False):
    """The context of a message, unvalidated."""

    sessionId: Any = None  # noqa: N815  # as on the wire
    session_id: Any = None
    session: Any = None
    sdk: Any = msgspec.field(default=None, name="library")
    active: Any = None
    userAgent: Any = None  # noqa: N815  # as on the wire
    locale: Any = None
    traits: Raw = Raw(b"")
    device: Raw = Raw(b"")
    page: Raw = Raw(b"")
    campaign: Raw = Raw(b"")


class PayloadParts(msgspec.Struct, gc=False):
    """The members of the canonical layout that are used, as they were received."""

    properties: Raw = Raw(b"")
    traits: Raw = Raw(b"")
    context: MessageContext | None = None
    channel: Any = None
    name: Any = None
    category: Any = None
    groupId: Any = None  # noqa: N815  # as on the wire
    previousId: Any = None  # noqa: N815  # as on the wire


_NO_CONTEXT = MessageContext()
_parts = msgspec.json.Decoder(PayloadParts).decode
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, Raw]).decode

_UNREADABLE = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


def parse(event: MessageEvent) -> ParsedMessage:
    """Parses an event's payload.  Never fails: repairs values that cannot be stored."""
    try:
        return _parsed_message(event, _parts(event.payload))
    except _UNREADABLE:
        return _parse_leniently(event)


def _parse_leniently(event: MessageEvent) -> ParsedMessage:
    try:
        return _parsed_message(event, _lenient_parts(event.payload))
    except _UNREADABLE:
        return _parsed_message(event, PayloadParts())


def _parsed_message(event: MessageEvent, parts: PayloadParts) -> ParsedMessage:
    context = parts.context or _NO_CONTEXT
    properties, document = _properties(event, parts, context)
    return ParsedMessage(
        storable_name(event.name),
        properties,
        document,
        _channel(parts, context, properties),
        _session(event.name, context, properties),
        parts,
    )


def json_members(document: bytes) -> dict[str, bytes]:
    """Returns the members of a JSON object, each as storable JSON; empty if it is no object.

    Never fails.  Numbers stay as they were received, unless some JSON readers could not read them.
    """
    if document[:1] != b"{":
        return {}
    try:
        _decode(document)  # validates every string, which splitting into members does not
        if not sanitise.is_storable_json(document):
            document = sanitise.dump_json(sanitise.parse_leniently(document))
    except _UNREADABLE:
        try:
            document = sanitise.dump_json(sanitise.parse_leniently(document))
        except _UNREADABLE:
            return {}
    return {key: bytes(value) for key, value in _members(document).items()}


def storable_name(name: str) -> str:
    """Returns an event name as read models store it: repaired and cut to `MAX_NAME_LENGTH`."""
    return sanitise.storable_text(name)[:MAX_NAME_LENGTH]


def _properties(
    event: MessageEvent, parts: PayloadParts, context: MessageContext
) -> tuple[dict[str, Any], bytes]:
    document = bytes(_own_properties(event.kind, parts, context))
    properties = _decode(document) if document[:1] == b"{" else None
    if properties is None:
        document, properties = b"{}", {}
    if event.kind != "track":
        for key, value in _from_top_level(event.kind, parts):
            if properties.get(key) is None:
                document = _with_member(document, key, value, empty=not properties)
                properties[key] = value
    if sanitise.is_storable_json(document):
        return properties, document
    document = sanitise.dump_json(sanitise.parse_leniently(document))
    return _decode(document), document


def _own_properties(kind: str, parts: PayloadParts, context: MessageContext) -> Raw:
    if kind == "identify":
        traits = bytes(parts.traits)
        # RudderStack's SDKs send the traits in the context, and an empty object or none at the top level.
        return context.traits if traits in (b"", b"{}", b"null") else parts.traits
    return parts.traits if kind == "group" else parts.properties


def _from_top_level(kind: str, parts: PayloadParts) -> Iterator[tuple[str, Any]]:
    if kind in ("page", "screen"):
        if parts.name is not None:
            yield "name", parts.name
        if parts.category is not None:
            yield "category", parts.category
    elif kind == "group" and parts.groupId is not None:
        yield "group_id", parts.groupId
    elif kind == "alias" and parts.previousId is not None:
        yield "previous_id", parts.previousId


def _with_member(document: bytes, key: str, value: Any, *, empty: bool) -> bytes:
    """Adds a member to the text of an object, so that its numbers stay as they were received."""
    head = b"{" if empty else document.rstrip()[:-1] + b","
    return b"".join((head, sanitise.dump_json(key), b":", sanitise.dump_json(value), b"}"))


def _channel(
    parts: PayloadParts, context: MessageContext, properties: dict[str, Any]
) -> str | None:
    for channel in (parts.channel, properties.get("channel")):
        if isinstance(channel, str) and channel:
            return sanitise.storable_text(channel)[:MAX_NAME_LENGTH]
    name = context.sdk.get("name") if isinstance(context.sdk, dict) else context.sdk
    return _channel_of_library(name) if isinstance(name, str) else None


@lru_cache(maxsize=1024)
def _channel_of_library(library: str) -> str | None:
    words = set(re.split("[^a-z]+", library.lower()))
    return next((channel for channel, names in _CHANNEL_OF_LIBRARY.items() if words & names), None)


def _session(name: str, context: MessageContext, properties: dict[str, Any]) -> str | None:
    first, session = context.sessionId, context.session
    if isinstance(first, str) and first:  # nearly always
        return sanitise.storable_text(first)[:MAX_NAME_LENGTH]
    for session_id in (
        first,
        context.session_id,
        properties.get("session_id"),
        properties.get("sessionId"),
        session.get("id") if isinstance(session, dict) else None,
        properties.get("id") if is_session_event(name) else None,
    ):
        if session_id is None or session_id == "" or isinstance(session_id, bool):
            continue
        if isinstance(session_id, (str, int, float)):
            return sanitise.storable_text(str(session_id))[:MAX_NAME_LENGTH]
    return None


@lru_cache(maxsize=4096)
def is_session_event(name: str) -> bool:
    """Returns whether a name is Session Started, session_ended, sessionStart or similar."""
    return re.sub("[^a-z]", "", name.lower()) in _SESSION_EVENTS


def _lenient_parts(document: bytes) -> PayloadParts:
    """Returns the usable parts of a payload with wrong types, lone surrogates or other faults."""
    parsed = sanitise.parse_leniently(document)
    if not isinstance(parsed, dict):
        return PayloadParts()
    plain = _decode(sanitise.dump_json(parsed))
    return PayloadParts(
        properties=_raw(parsed.get("properties")),
        traits=_raw(parsed.get("traits")),
        context=_lenient_context(plain.get("context"), parsed.get("context")),
        channel=plain.get("channel"),
        name=plain.get("name"),
        category=plain.get("category"),
        groupId=plain.get("groupId"),
        previousId=plain.get("previousId"),
    )


def _lenient_context(context: Any, exact: Any) -> MessageContext | None:
    if not isinstance(context, dict):
        return None
    return MessageContext(
        sessionId=context.get("sessionId"),
        session_id=context.get("session_id"),
        session=context.get("session"),
        sdk=context.get("library"),
        active=context.get("active"),
        userAgent=context.get("userAgent"),
        locale=context.get("locale"),
        traits=_raw(exact.get("traits")),
        device=_raw(exact.get("device")),
        page=_raw(exact.get("page")),
        campaign=_raw(exact.get("campaign")),
    )


def _raw(value: Any) -> Raw:
    return Raw(sanitise.dump_json(value)) if isinstance(value, dict) else Raw(b"")
