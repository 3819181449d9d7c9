"""The standard events that follow from what was said: which, and what they say.

A field's observations are read in the order of (occurred_at, event id), so that what follows depends
on the set of a stream's messages alone: one that comes late may take back what had followed before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Raw

from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.events.events import Merged, MessageEvent, Unmerged
from domain.profiles.view import CONTACTS, TAGS
from projections.timeline.facts import PUSH, TRAIT, How

PERSON_CREATED = "person_created"
NULL = "null"
TAGS_FIELD = TRAIT + TAGS

_STANDARD: Mapping[str, frozenset[str]] = {
    "name_changed": frozenset(
        (
            "name",
            "fullname",
            "firstname",
            "middlename",
            "lastname",
            "givenname",
            "familyname",
            "surname",
        )
    ),
    "location_changed": frozenset(
        (
            "address",
            "street",
            "city",
            "state",
            "region",
            "zip",
            "zipcode",
            "postcode",
            "postalcode",
            "country",
            "countrycode",
            "location",
        )
    ),
    "birthday_changed": frozenset(("birthday", "birthdate", "dateofbirth", "dob")),
}
"""Traits, without case and separators, and the event that follows when one of them changes."""

_CONTACT_OF = {trait: kind for kind, traits in CONTACTS.items() for trait in traits}


class Derived(NamedTuple):
    """An event that follows from a message."""

    id: UUID
    name: str
    properties: Mapping[str, Any]


class Observed(NamedTuple):
    """An observation as it is kept, and how it compares to the one before."""

    stream: UUID
    field: str
    position: int
    id: UUID
    how: How
    ordinal: int
    value: str
    is_same: bool | None
    """Whether ``jsonb`` holds it to be equal to the value before; None if there is none."""


def person_created(cause: UUID) -> Derived:
    """Return the event that follows from the first message of a stream."""
    return _derived(cause, PERSON_CREATED, "", {})


def decided(event: MessageEvent) -> Derived | None:
    """Return what follows from an alias, merge or unmerge; None of one's own name, nothing does."""
    if isinstance(event, Merged):
        others = [it for it in event.absorbed if it != event.subject]
        facts = {"absorbed": _named(others), "policy": event.policy}
        name = "person_merged"
    elif isinstance(event, Unmerged):
        others = [it for it in event.apart_from if it != event.subject]
        facts = {"apart_from": _named(others)}
        name = "person_unmerged"
    else:
        return None
    reason = {"reason": sanitise.text(event.reason)} if event.reason else {}
    return _derived(event.id, name, "", facts | reason) if others else None


def of_series(series: Iterable[Observed]) -> Iterator[tuple[Observed, list[Derived]]]:
    """Give out, for each observation of one field, what follows from it.

    The first must be one that says all that holds, or the first that there is.
    """
    before, tags = NULL, frozenset[str]()
    for each in series:
        if each.field == TAGS_FIELD:
            after = _after(tags, each.how, frozenset(msgspec.json.decode(each.value)))
            yield each, [*_tagged(each.id, tags, after)]
            tags = after
        else:
            is_same = each.is_same or before == each.value
            yield each, [] if is_same else [_changed(each.id, each.field, before, each.value)]
            before = each.value


def _after(tags: frozenset[str], how: How, said: frozenset[str]) -> frozenset[str]:
    if how == "is":
        return said
    return tags | said if how == "plus" else tags - said


def _tagged(cause: UUID, before: frozenset[str], after: frozenset[str]) -> Iterator[Derived]:
    for tag in sorted(before ^ after):
        name = "tag_added" if tag in after else "tag_removed"
        sides = (None, tag) if tag in after else (tag, None)
        yield _derived(cause, name, tag, _sides(TAGS, *sides))


def _changed(cause: UUID, field: str, before: str, after: str) -> Derived:
    prefix, _, attribute = field.partition(":")
    if prefix + ":" == PUSH:
        kind, attribute = "push", "push"
    else:
        kind = _CONTACT_OF.get(attribute, "")
    if kind:
        sort = "added" if before == NULL else "deleted" if after == NULL else "changed"
        name = f"{kind}_{sort}"
    else:
        name = _standard(attribute)
    return _derived(cause, name, field, _sides(attribute, _raw(before), _raw(after)))


@lru_cache(maxsize=4096)
def _standard(attribute: str) -> str:
    plain = re.sub(r"[\W_]", "", attribute.lower())
    return next(
        (name for name, traits in _STANDARD.items() if plain in traits), "attribute_changed"
    )


def _sides(attribute: str, before: Any, after: Any) -> dict[str, Any]:
    return {"attribute": attribute, "before": before, "after": after}


def _raw(value: str) -> Raw:
    return Raw(value.encode())


def _named(identifiers: Iterable[Identifier]) -> list[dict[str, str]]:
    return [{"kind": it.kind, "value": sanitise.text(it.value)} for it in sorted(identifiers)]


def _derived(cause: UUID, name: str, what: str, properties: Mapping[str, Any]) -> Derived:
    text = f"{name}\0{what}".encode()
    digest = blake2b(text, digest_size=16, key=cause.bytes, person=b"derived").digest()
    return Derived(UUID(bytes=digest), name, properties)
