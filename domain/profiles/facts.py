"""Facts about a profile in messages: devices, groups and tags.

The names of the events that change a profile are those of Customer.io Data Pipelines, besides those of
`domain.core.tags`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from domain.core import sanitise
from domain.core.lww_register import JSON_NULL
from domain.core.tags import TAG_EVENTS
from domain.events.payload import MessageContext, ParsedMessage, json_members

DEVICE_CHANGED, DEVICE_DELETED = "Device Created or Updated", "Device Deleted"
GROUP_REMOVAL_EVENTS = frozenset(("Relationship Deleted", "Object Deleted"))
PROFILE_CHANGING_EVENTS = frozenset(
    (DEVICE_CHANGED, DEVICE_DELETED, *GROUP_REMOVAL_EVENTS, *TAG_EVENTS)
)
"""Names of track calls that change the profile."""

DEFAULT_GROUP_TYPE = "1"
"""Type of a group whose call does not name one."""

_GROUP_TYPE = ("objectTypeId", "object_type_id")
_GROUP_ID = ("objectId", "object_id", "groupId", "group_id")
_RELATIONSHIP = ("relationshipAttributes", "relationship_attributes")
_decode = msgspec.json.Decoder().decode

DeviceFacts = tuple[str, dict[str, bytes]]
"""A device's token, and its attributes as JSON."""


class GroupFacts(NamedTuple):
    """A group that the profile belongs to, with traits and relationship as JSON."""

    key: str
    traits: dict[str, bytes]
    relationship: dict[str, bytes]


def group_key(type_: str, id_: str) -> str:
    """Returns the key of a group in a profile's state."""
    return f"{type_}\0{id_}"


def split_group_key(key: str) -> tuple[str, str]:
    """Returns the type and the id of a group's key."""
    type_, _, id_ = key.partition("\0")
    return type_, id_


def parse_group(message: ParsedMessage) -> GroupFacts | None:
    """Returns the group of a group call; None without a usable id."""
    id_ = _id(message.parts.groupId)
    if id_ is None:
        return None
    traits = json_members(bytes(message.parts.traits))
    types = [_id(_decode(traits.pop(name))) for name in _GROUP_TYPE if name in traits]
    relationships = [json_members(traits.pop(name)) for name in _RELATIONSHIP if name in traits]
    type_ = next((type_ for type_ in types if type_ is not None), DEFAULT_GROUP_TYPE)
    return GroupFacts(group_key(type_, id_), traits, next(iter(relationships), {}))


def removed_group_key(properties: Mapping[str, Any]) -> str | None:
    """Returns the key of the group that a `Relationship Deleted` or `Object Deleted` names."""
    id_ = next(_ids(properties, _GROUP_ID), None)
    if id_ is None:
        return None
    return group_key(next(_ids(properties, _GROUP_TYPE), DEFAULT_GROUP_TYPE), id_)


def device_in_context(context: MessageContext) -> DeviceFacts | None:
    """Returns the device in the context of a message; None without a token."""
    document = bytes(context.device)
    return _device(json_members(document)) if b'"token"' in document else None


def parse_device(message: ParsedMessage) -> DeviceFacts | None:
    """Returns the device that a `Device Created or Updated` describes.

    Looks in the properties, in their member ``device``, and in the context.
    """
    properties = json_members(message.properties_json)
    own = json_members(properties.pop("device", b""))
    context = message.parts.context
    in_context = {} if context is None else json_members(bytes(context.device))
    return _device(in_context | properties | own)


def deleted_device_token(message: ParsedMessage) -> str | None:
    """Returns the token of the device that a `Device Deleted` names."""
    device = parse_device(message)
    return None if device is None else device[0]


def _device(fields: dict[str, bytes]) -> DeviceFacts | None:
    token = _id(_decode(fields.pop("token", JSON_NULL)))
    return None if token is None else (token, fields)


def _ids(properties: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    ids = (_id(properties.get(name)) for name in names)
    return (id_ for id_ in ids if id_ is not None)


def _id(value: Any) -> str | None:
    """Returns an id as text, also if it was sent as a number; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return sanitise.storable_text(value) if isinstance(value, str) and value.strip() else None
