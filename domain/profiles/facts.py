"""What a message says of a person beside having happened: devices, groups, tags.

The names of the events that act are those of Customer.io Data Pipelines; `Tag Added` and
`Tag Removed` are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from domain.core import sanitise
from domain.core.lww_register import JSON_NULL
from domain.events.payload import MessageContext, ParsedMessage, json_members

DEVICE_CHANGED, DEVICE_DELETED = "Device Created or Updated", "Device Deleted"
GROUP_REMOVAL_EVENTS = frozenset(("Relationship Deleted", "Object Deleted"))
TAG_EVENTS: Mapping[str, bytes] = MappingProxyType({"Tag Added": b"true", "Tag Removed": JSON_NULL})
PROFILE_CHANGING_EVENTS = frozenset(
    (DEVICE_CHANGED, DEVICE_DELETED, *GROUP_REMOVAL_EVENTS, *TAG_EVENTS)
)
"""Track calls that change the profile."""

DEFAULT_GROUP_TYPE = "1"
"""Type of a group whose call names none."""

_GROUP_TYPE = ("objectTypeId", "object_type_id")
_GROUP_ID = ("objectId", "object_id", "groupId", "group_id")
_RELATIONSHIP = ("relationshipAttributes", "relationship_attributes")
_decode = msgspec.json.Decoder().decode

DeviceFacts = tuple[str, dict[str, bytes]]
"""The key of a thing, and what is said of it as JSON."""


class GroupFacts(NamedTuple):
    """A group that the person is in."""

    key: str
    traits: dict[str, bytes]
    relationship: dict[str, bytes]


def group_key(type_: str, id_: str) -> str:
    """Return the key under which a profile keeps a group."""
    return f"{type_}\0{id_}"


def split_group_key(key: str) -> tuple[str, str]:
    """Return the type and the id of a group."""
    type_, _, id_ = key.partition("\0")
    return type_, id_


def parse_group(message: ParsedMessage) -> GroupFacts | None:
    """Return the group that a group call names; None if it names none."""
    id_ = _id(message.parts.groupId)
    if id_ is None:
        return None
    traits = json_members(bytes(message.parts.traits))
    types = [_id(_decode(traits.pop(it))) for it in _GROUP_TYPE if it in traits]
    relationships = [json_members(traits.pop(it)) for it in _RELATIONSHIP if it in traits]
    type_ = next((it for it in types if it is not None), DEFAULT_GROUP_TYPE)
    return GroupFacts(group_key(type_, id_), traits, next(iter(relationships), {}))


def removed_group_key(properties: Mapping[str, Any]) -> str | None:
    """Return the key of the group that a `Relationship Deleted` or `Object Deleted` names."""
    id_ = next(_ids(properties, _GROUP_ID), None)
    return (
        None
        if id_ is None
        else group_key(next(_ids(properties, _GROUP_TYPE), DEFAULT_GROUP_TYPE), id_)
    )


def device_in_context(context: MessageContext) -> DeviceFacts | None:
    """Return the device in the context of a message; None if it has no token to be known by."""
    document = bytes(context.device)
    return _device(json_members(document)) if b'"token"' in document else None


def parse_device(message: ParsedMessage) -> DeviceFacts | None:
    """Return the device that a `Device Created or Updated` describes, in any of the usual places."""
    properties = json_members(message.properties_json)
    own = json_members(properties.pop("device", b""))
    context = message.parts.context
    around = {} if context is None else json_members(bytes(context.device))
    return _device(around | properties | own)


def deleted_device_token(message: ParsedMessage) -> str | None:
    """Return the token of the device that a `Device Deleted` names."""
    described = parse_device(message)
    return None if described is None else described[0]


def tags_in(properties: Mapping[str, Any]) -> Iterator[str]:
    """Give out the tags that a `Tag Added` or `Tag Removed` names, in ``tag`` or in ``tags``."""
    named = properties.get("tags")
    for tag in [properties.get("tag"), *(named if isinstance(named, list) else ())]:
        if isinstance(tag, str) and tag.strip():
            yield tag.strip()


def _device(fields: dict[str, bytes]) -> DeviceFacts | None:
    token = _id(_decode(fields.pop("token", JSON_NULL)))
    return None if token is None else (token, fields)


def _ids(properties: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[str]:
    found = (_id(properties.get(it)) for it in names)
    return (it for it in found if it is not None)


def _id(value: Any) -> str | None:
    """Return an id, which may have been sent as a number, as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return sanitise.storable_text(value) if isinstance(value, str) and value.strip() else None
