"""What changed of a profile between two of its states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from msgspec import Raw

from domain.core import sanitise
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState

Values = Mapping[str, Any]


class Change(NamedTuple):
    """One thing that was added, changed or removed."""

    key: str
    change: Literal["added", "changed", "removed"]
    before: Any
    """None of what was added."""

    after: Any
    """None of what was removed."""


def difference(before: ProfileState, after: ProfileState) -> dict[str, list[Change]]:
    """Return what changed from one state to another, by what kind of thing it is, sorted."""
    olds, news = _shown(before), _shown(after)
    return {kind: list(_changes(olds[kind], news[kind])) for kind in news}


def _shown(state: ProfileState) -> dict[str, Values]:
    return {
        "identifiers": {f"{it}": it._asdict() for it in state.identifiers},
        "attributes": profile_view.attributes(state),
        "tags": dict.fromkeys(profile_view.tags(state), True),
        "contacts": dict(map(_contact, profile_view.contacts(state))),
        "groups": {
            f"{it.object_type_id}:{it.id}": {"traits": it.traits, "relationship": it.relationship}
            for it in profile_view.groups(state)
        },
        "devices": {
            it.token: {"type": it.type, "attributes": it.attributes}
            for it in profile_view.devices(state)
        },
    }


def _contact(contact: profile_view.Contact) -> tuple[str, str]:
    # There is one of each other kind.
    key = f"push:{contact.value}" if contact.kind == "push" else contact.kind
    return key, contact.value


def _changes(olds: Values, news: Values) -> Iterable[Change]:
    for key in sorted(olds.keys() | news.keys()):
        if key not in olds:
            yield Change(key, "added", None, news[key])
        elif key not in news:
            yield Change(key, "removed", olds[key], None)
        elif not _same(olds[key], news[key]):
            yield Change(key, "changed", olds[key], news[key])


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, Raw) and isinstance(new, Raw):
        return bytes(old) == bytes(new) or _without_blanks(old) == _without_blanks(new)
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return bool(old == new)


def _without_blanks(value: Raw) -> bytes:
    return sanitise.dump(sanitise.parse(bytes(value)))
