"""What a profile shows of its state: values that hold, without the words that were overruled."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from domain.core.lww_register import JSON_NULL, MAX_ENTRIES, Register, Registers
from domain.profiles.facts import split_group_key
from domain.profiles.state import LwwElement, LwwElements, ProfileState

TAGS_TRAIT = "tags"
"""The trait whose list is the person's tags."""

CONTACT_TRAITS: Mapping[str, tuple[str, ...]] = {
    "email": ("email",),
    "phone": ("phone",),
    "facebook": ("facebook", "facebook_id", "facebookId"),
}
"""Kinds of contact and the traits that tell them; of several the latest counts."""

_FIRST_NAME = ("firstName", "first_name", "firstname")
_LAST_NAME = ("lastName", "last_name", "lastname")
_decode = msgspec.json.Decoder().decode


class CurrentContact(NamedTuple):
    """A way to reach the person."""

    kind: str
    """``email``, ``phone``, ``facebook`` or ``push``."""

    value: str
    since: datetime
    """When it was last said."""


class CurrentDevice(NamedTuple):
    """A device that has a push token."""

    token: str
    type: str | None
    last_used: datetime
    attributes: dict[str, Raw]


class CurrentGroup(NamedTuple):
    """A group, account or other object that the person is related to."""

    object_type_id: str
    id: str
    traits: dict[str, Raw]
    relationship: dict[str, Raw]


def attributes(state: ProfileState) -> dict[str, Raw]:
    """Return the attributes that have a value, as JSON; a list of tags is not among them."""
    shown = _values(state.attributes)
    if TAGS_TRAIT in shown and bytes(shown[TAGS_TRAIT]).startswith(b"["):
        del shown[TAGS_TRAIT]
    return shown


def tags(state: ProfileState) -> list[str]:
    """Return the tags, sorted.

    An identify with a list ``tags`` says all of them; `Tag Added` and `Tag Removed` say one.  Of
    each tag the latest word counts.
    """
    listed = state.attributes.get(TAGS_TRAIT)
    found = set() if listed is None else _texts(listed)
    for tag, register in state.tags.items():
        if listed is None or register > listed:
            (found.discard if register.value == JSON_NULL else found.add)(tag)
    return sorted(found)


def contacts(state: ProfileState) -> list[CurrentContact]:
    """Return the ways to reach the person."""
    found = []
    for kind, traits in CONTACT_TRAITS.items():
        said = max((state.attributes[it] for it in traits if it in state.attributes), default=None)
        value = register_text(said)
        if said is not None and value is not None:
            found.append(CurrentContact(kind, value, said.at))
    return found + [CurrentContact("push", it.token, it.last_used) for it in devices(state)]


def devices(state: ProfileState) -> list[CurrentDevice]:
    """Return the devices that were not deleted since they were last heard of, by token."""
    found = []
    for token, thing, mentioned in _present_elements(state.devices):
        current = _current(thing, thing.traits)
        type_ = register_text(current.pop("type", None))
        found.append(CurrentDevice(token, type_, mentioned.at, _values(current)))
    return found


def groups(state: ProfileState) -> list[CurrentGroup]:
    """Return the groups that the person was not taken out of since, by type and id."""
    return [
        CurrentGroup(
            *split_group_key(key),
            _values(_current(thing, thing.traits)),
            _values(_current(thing, thing.relationship)),
        )
        for key, thing, _ in _present_elements(state.groups)
    ]


def display_name(state: ProfileState) -> str | None:
    """Return the person's name: the trait ``name``, or first and last name."""
    if not state.attributes:
        return None
    whole = register_text(state.attributes.get("name"))
    if whole is not None:
        return whole
    parts = (_first_text(state, _FIRST_NAME), _first_text(state, _LAST_NAME))
    return " ".join(it for it in parts if it) or None


def truncated_parts(state: ProfileState) -> list[str]:
    """Return which parts hold as many entries as are kept, so that others may be missing."""
    parts = ("attributes", "tags", "groups", "devices", "counts")
    return [it for it in parts if len(getattr(state, it)) >= MAX_ENTRIES]


def register_text(register: Register | None) -> str | None:
    """Return a value that is a text, or a whole number, as text; None for any other or a blank."""
    return None if register is None else json_text(register.value)


def json_text(document: bytes) -> str | None:
    """Return what `text` does of a value that is JSON."""
    value: Any = _decode(document)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else None


def _first_text(state: ProfileState, names: tuple[str, ...]) -> str | None:
    found = (register_text(state.attributes.get(it)) for it in names)
    return next((it for it in found if it), None)


def _texts(register: Register) -> set[str]:
    value = _decode(register.value)
    listed = value if isinstance(value, list) else ()
    return {it.strip() for it in listed if isinstance(it, str) and it.strip()}


def _present_elements(things: LwwElements) -> list[tuple[str, LwwElement, Register]]:
    return [
        (key, thing, thing.last_added)
        for key, thing in sorted(things.items())
        if thing.last_added is not None
        and (thing.last_removed is None or thing.last_added > thing.last_removed)
    ]


def _current(thing: LwwElement, registers: Registers) -> Registers:
    """Return what was said since the thing was last deleted."""
    deleted = thing.last_removed
    return {key: it for key, it in registers.items() if deleted is None or it > deleted}


def _values(registers: Mapping[str, Register]) -> dict[str, Raw]:
    return {key: Raw(it.value) for key, it in sorted(registers.items()) if it.value != JSON_NULL}
