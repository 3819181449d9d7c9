"""Differences between two states of a profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Raw

from domain.core import sanitise
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState

ValuesByKey = Mapping[str, Any]


class ProfileChange(NamedTuple):
    """One value that was added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    """None if the value was added."""

    after: Any
    """None if the value was removed."""


def diff_states(before: ProfileState, after: ProfileState) -> dict[str, list[ProfileChange]]:
    """Returns the changes from one state to another, by kind of value, each sorted by key."""
    olds, news = _comparable_values(before), _comparable_values(after)
    return {kind: list(_changes(olds[kind], news[kind])) for kind in news}


def _comparable_values(state: ProfileState) -> dict[str, ValuesByKey]:
    return {
        "identifiers": {str(identifier): identifier._asdict() for identifier in state.identifiers},
        "attributes": profile_view.attributes(state),
        "tags": dict.fromkeys(profile_view.tags(state), True),
        "contacts": dict(map(_contact_entry, profile_view.contacts(state))),
        "groups": {
            f"{group.object_type_id}:{group.id}": {
                "traits": group.traits,
                "relationship": group.relationship,
            }
            for group in profile_view.groups(state)
        },
        "devices": {
            device.token: {"type": device.type, "attributes": device.attributes}
            for device in profile_view.devices(state)
        },
    }


def _contact_entry(contact: profile_view.CurrentContact) -> tuple[str, str]:
    # A profile has at most one contact of every other kind.
    key = f"push:{contact.value}" if contact.kind == "push" else contact.kind
    return key, contact.value


def _changes(olds: ValuesByKey, news: ValuesByKey) -> Iterable[ProfileChange]:
    for key in sorted(olds.keys() | news.keys()):
        if key not in olds:
            yield ProfileChange(key, "added", None, news[key])
        elif key not in news:
            yield ProfileChange(key, "removed", olds[key], None)
        elif not _equal(olds[key], news[key]):
            yield ProfileChange(key, "changed", olds[key], news[key])


def _equal(old: Any, new: Any) -> bool:
    if isinstance(old, Raw) and isinstance(new, Raw):
        return bytes(old) == bytes(new) or _canonical_json(old) == _canonical_json(new)
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_equal(old[key], new[key]) for key in old)
    return bool(old == new)


def _canonical_json(value: Raw) -> bytes:
    return sanitise.dump_json(sanitise.parse_leniently(bytes(value)))
