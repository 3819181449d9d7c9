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
from domain.events.events import MessageEvent, ProfilesMerged, ProfilesUnmerged
from domain.profiles.view import CONTACT_TRAITS, TAGS_TRAIT
from projections.timeline.facts import PUSH_PREFIX, TRAIT_PREFIX, ObservationKind

PERSON_CREATED = "person_created"
NULL = "null"
TAGS_FIELD = TRAIT_PREFIX + TAGS_TRAIT

STANDARD_TRAITS: Mapping[str, frozenset[str]] = {
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

_CONTACT_OF = {trait: kind for kind, traits in CONTACT_TRAITS.items() for trait in traits}


class DerivedEvent(NamedTuple):
    """An event that follows from a message."""

    id: UUID
    name: str
    properties: Mapping[str, Any]


class StoredObservation(NamedTuple):
    """An observation as it is kept, and how it compares to the one before."""

    stream: UUID
    field: str
    position: int
    id: UUID
    how: ObservationKind
    ordinal: int
    value: str
    equals_previous: bool | None
    """Whether ``jsonb`` holds it to be equal to the value before; None if there is none."""


def profile_created(cause: UUID) -> DerivedEvent:
    """Return the event that follows from the first message of a stream."""
    return _derived_event(cause, PERSON_CREATED, "", {})


def identity_change(event: MessageEvent) -> DerivedEvent | None:
    """Return what follows from an alias, merge or unmerge; None of one's own name, nothing does."""
    if isinstance(event, ProfilesMerged):
        others = [it for it in event.absorbed if it != event.subject]
        facts = {"absorbed": _identifiers_json(others), "policy": event.policy}
        name = "person_merged"
    elif isinstance(event, ProfilesUnmerged):
        others = [it for it in event.apart_from if it != event.subject]
        facts = {"apart_from": _identifiers_json(others)}
        name = "person_unmerged"
    else:
        return None
    reason = {"reason": sanitise.storable_text(event.reason)} if event.reason else {}
    return _derived_event(event.id, name, "", facts | reason) if others else None


def derive_series(
    series: Iterable[StoredObservation],
) -> Iterator[tuple[StoredObservation, list[DerivedEvent]]]:
    """Give out, for each observation of one field, what follows from it.

    The first must be one that says all that holds, or the first that there is.
    """
    before, tags = NULL, frozenset[str]()
    for each in series:
        if each.field == TAGS_FIELD:
            after = _apply_tags(tags, each.how, frozenset(msgspec.json.decode(each.value)))
            yield each, [*_tag_events(each.id, tags, after)]
            tags = after
        else:
            is_same = each.equals_previous or before == each.value
            yield each, [] if is_same else [_change_event(each.id, each.field, before, each.value)]
            before = each.value


def _apply_tags(
    tags: frozenset[str], how: ObservationKind, values: frozenset[str]
) -> frozenset[str]:
    if how == "is":
        return values
    return tags | values if how == "plus" else tags - values


def _tag_events(
    cause: UUID, before: frozenset[str], after: frozenset[str]
) -> Iterator[DerivedEvent]:
    for tag in sorted(before ^ after):
        name = "tag_added" if tag in after else "tag_removed"
        sides = (None, tag) if tag in after else (tag, None)
        yield _derived_event(cause, name, tag, _change_properties(TAGS_TRAIT, *sides))


def _change_event(cause: UUID, field: str, before: str, after: str) -> DerivedEvent:
    prefix, _, attribute = field.partition(":")
    if prefix + ":" == PUSH_PREFIX:
        kind, attribute = "push", "push"
    else:
        kind = _CONTACT_OF.get(attribute, "")
    if kind:
        sort = "added" if before == NULL else "deleted" if after == NULL else "changed"
        name = f"{kind}_{sort}"
    else:
        name = _standard_name(attribute)
    return _derived_event(
        cause, name, field, _change_properties(attribute, _raw(before), _raw(after))
    )


@lru_cache(maxsize=4096)
def _standard_name(attribute: str) -> str:
    plain = re.sub(r"[\W_]", "", attribute.lower())
    return next(
        (name for name, traits in STANDARD_TRAITS.items() if plain in traits), "attribute_changed"
    )


def _change_properties(attribute: str, before: Any, after: Any) -> dict[str, Any]:
    return {"attribute": attribute, "before": before, "after": after}


def _raw(value: str) -> Raw:
    return Raw(value.encode())


def _identifiers_json(identifiers: Iterable[Identifier]) -> list[dict[str, str]]:
    return [
        {"kind": it.kind, "value": sanitise.storable_text(it.value)} for it in sorted(identifiers)
    ]


def _derived_event(
    cause: UUID, name: str, what: str, properties: Mapping[str, Any]
) -> DerivedEvent:
    text = f"{name}\0{what}".encode()
    digest = blake2b(text, digest_size=16, key=cause.bytes, person=b"derived").digest()
    return DerivedEvent(UUID(bytes=digest), name, properties)
