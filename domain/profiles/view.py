"""Views of a profile's state: the current values, without overruled registers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from domain.core.lww_register import JSON_NULL, MAX_ENTRIES, Register, Registers
from domain.core.tags import TAGS_TRAIT
from domain.profiles.facts import split_group_key
from domain.profiles.state import LwwElement, LwwElements, ProfileState

CONTACT_TRAITS: Mapping[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("phone",),
    "facebook": ("facebook", "facebook_id", "facebookId"),
}
"""Kinds of contact and their traits; of several the latest value counts."""

_FIRST_NAME = ("firstName", "first_name", "firstname")
_LAST_NAME = ("lastName", "last_name", "lastname")
_decode = msgspec.json.Decoder().decode


class CurrentContact(NamedTuple):
    """An address of the profile in one channel."""

    kind: str
    """``email``, ``phone``, ``facebook`` or ``push``."""

    value: str
    since: datetime
    """When the value was last sent."""


class CurrentDevice(NamedTuple):
    """A device that has a push token."""

    token: str
    type: str | None
    last_used: datetime
    attributes: dict[str, Raw]


class CurrentGroup(NamedTuple):
    """A group, account or other object that the profile is related to."""

    object_type_id: str
    id: str
    traits: dict[str, Raw]
    relationship: dict[str, Raw]


def attributes(state: ProfileState) -> dict[str, Raw]:
    """Returns the attributes that have a value, as JSON, without a list of tags."""
    values = _values(state.attributes)
    if TAGS_TRAIT in values and bytes(values[TAGS_TRAIT]).startswith(b"["):
        del values[TAGS_TRAIT]
    return values


def tags(state: ProfileState) -> list[str]:
    """Returns the tags, sorted.

    An identify with a list ``tags`` sets all of them; `Tag Added` and `Tag Removed` change one.  For
    each tag the latest of these counts.
    """
    listed = state.attributes.get(TAGS_TRAIT)
    current = set() if listed is None else _texts(listed)
    for tag, register in state.tags.items():
        if listed is None or register > listed:
            (current.discard if register.value == JSON_NULL else current.add)(tag)
    return sorted(current)


def contacts(state: ProfileState) -> list[CurrentContact]:
    """Returns the contacts: one of each kind of trait, and a push contact for each device."""
    from_traits = []
    for kind, traits in CONTACT_TRAITS.items():
        latest = max(
            (state.attributes[trait] for trait in traits if trait in state.attributes),
            default=None,
        )
        value = register_text(latest)
        if latest is not None and value is not None:
            from_traits.append(CurrentContact(kind, value, latest.at))
    return from_traits + [
        CurrentContact("push", device.token, device.last_used) for device in devices(state)
    ]


def devices(state: ProfileState) -> list[CurrentDevice]:
    """Returns the devices that were not deleted since they were last mentioned, by token."""
    current_devices = []
    for token, device, added in _present_elements(state.devices):
        traits = _current(device, device.traits)
        type_ = register_text(traits.pop("type", None))
        current_devices.append(CurrentDevice(token, type_, added.at, _values(traits)))
    return current_devices


def groups(state: ProfileState) -> list[CurrentGroup]:
    """Returns the groups that the profile was not removed from since, by type and id."""
    return [
        CurrentGroup(
            *split_group_key(key),
            _values(_current(group, group.traits)),
            _values(_current(group, group.relationship)),
        )
        for key, group, _ in _present_elements(state.groups)
    ]


def display_name(state: ProfileState) -> str | None:
    """Returns the profile's name: the trait ``name``, or first and last name."""
    if not state.attributes:
        return None
    full_name = register_text(state.attributes.get("name"))
    if full_name is not None:
        return full_name
    parts = (_first_text(state, _FIRST_NAME), _first_text(state, _LAST_NAME))
    return " ".join(part for part in parts if part) or None


def truncated_parts(state: ProfileState) -> list[str]:
    """Returns the parts that hold `MAX_ENTRIES` entries, so that further ones may be missing."""
    parts = ("attributes", "tags", "groups", "devices", "counts")
    return [part for part in parts if len(getattr(state, part)) >= MAX_ENTRIES]


def register_text(register: Register | None) -> str | None:
    """Returns `json_text` of a register's value; None without a register."""
    return None if register is None else json_text(register.value)


def json_text(document: bytes) -> str | None:
    """Returns a JSON string or integer as text; None for blank text and any other value."""
    value: Any = _decode(document)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def _first_text(state: ProfileState, names: tuple[str, ...]) -> str | None:
    texts = (register_text(state.attributes.get(name)) for name in names)
    return next((text for text in texts if text), None)


def _texts(register: Register) -> set[str]:
    value = _decode(register.value)
    listed = value if isinstance(value, list) else ()
    return {tag.strip() for tag in listed if isinstance(tag, str) and tag.strip()}


def _present_elements(elements: LwwElements) -> list[tuple[str, LwwElement, Register]]:
    return [
        (key, element, element.last_added)
        for key, element in sorted(elements.items())
        if element.last_added is not None
        and (element.last_removed is None or element.last_added > element.last_removed)
    ]


def _current(element: LwwElement, registers: Registers) -> Registers:
    """Returns the registers that were set after the element was last removed."""
    removed = element.last_removed
    return {
        key: register
        for key, register in registers.items()
        if removed is None or register > removed
    }


def _values(registers: Mapping[str, Register]) -> dict[str, Raw]:
    return {
        key: Raw(register.value)
        for key, register in sorted(registers.items())
        if register.value != JSON_NULL
    }
