"""Rules of derived events: which standard events follow from observations.

A field's observations are read in the order of (occurred_at, event id), so that the derived events depend
on the set of a stream's messages alone: one that arrives late may remove events derived before.
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
from domain.core.tags import TAGS_TRAIT
from domain.events.events import MessageEvent, ProfilesMerged, ProfilesUnmerged
from domain.profiles.view import CONTACT_TRAITS
from projections.timeline.facts import PUSH_PREFIX, TRAIT_PREFIX, ObservationKind

PROFILE_CREATED = "person_created"
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
"""Traits, without case and separators, by the event that is derived when one of them changes."""

_CONTACT_OF = {trait: kind for kind, traits in CONTACT_TRAITS.items() for trait in traits}


class DerivedEvent(NamedTuple):
    """An event that is derived from a message."""

    id: UUID
    name: str
    properties: Mapping[str, Any]


class StoredObservation(NamedTuple):
    """A stored observation, and whether its value equals the previous one."""

    stream: UUID
    field: str
    position: int
    id: UUID
    kind: ObservationKind
    ordinal: int
    value: str
    equals_previous: bool | None
    """Whether the value equals the previous one as ``jsonb``; None if there is none."""


def profile_created(cause: UUID) -> DerivedEvent:
    """Returns the event that is derived from the first message of a stream."""
    return _derived_event(cause, PROFILE_CREATED, "", {})


def identity_change(event: MessageEvent) -> DerivedEvent | None:
    """Returns the event derived from a merge or unmerge; None if it names only its subject."""
    if isinstance(event, ProfilesMerged):
        others = [i for i in event.absorbed if i != event.subject]
        facts = {"absorbed": _identifiers_json(others), "policy": event.policy}
        name = "person_merged"
    elif isinstance(event, ProfilesUnmerged):
        others = [i for i in event.apart_from if i != event.subject]
        facts = {"apart_from": _identifiers_json(others)}
        name = "person_unmerged"
    else:
        return None
    reason = {"reason": sanitise.storable_text(event.reason)} if event.reason else {}
    return _derived_event(event.id, name, "", facts | reason) if others else None


def derive_series(
    series: Iterable[StoredObservation],
) -> Iterator[tuple[StoredObservation, list[DerivedEvent]]]:
    """Yields each observation of one field with the events that are derived from it.

    The first one must replace the field, or be the first of the stream.
    """
    before, tags = NULL, frozenset[str]()
    for observed in series:
        if observed.field == TAGS_FIELD:
            after = _apply_tags(tags, observed.kind, frozenset(msgspec.json.decode(observed.value)))
            yield observed, [*_tag_events(observed.id, tags, after)]
            tags = after
        else:
            is_same = observed.equals_previous or before == observed.value
            yield (
                observed,
                []
                if is_same
                else [_change_event(observed.id, observed.field, before, observed.value)],
            )
            before = observed.value


def _apply_tags(
    tags: frozenset[str], kind: ObservationKind, values: frozenset[str]
) -> frozenset[str]:
    if kind == "is":
        return values
    return tags | values if kind == "plus" else tags - values


def _tag_events(
    cause: UUID, before: frozenset[str], after: frozenset[str]
) -> Iterator[DerivedEvent]:
    for tag in sorted(before ^ after):
        name = "tag_added" if tag in after else "tag_removed"
        before_after = (None, tag) if tag in after else (tag, None)
        yield _derived_event(cause, name, tag, _change_properties(TAGS_TRAIT, *before_after))


def _change_event(cause: UUID, field: str, before: str, after: str) -> DerivedEvent:
    prefix, _, attribute = field.partition(":")
    if prefix + ":" == PUSH_PREFIX:
        kind, attribute = "push", "push"
    else:
        kind = _CONTACT_OF.get(attribute, "")
    if kind:
        change = "added" if before == NULL else "deleted" if after == NULL else "changed"
        name = f"{kind}_{change}"
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
    return [{"kind": i.kind, "value": sanitise.storable_text(i.value)} for i in sorted(identifiers)]


def _derived_event(cause: UUID, name: str, key: str, properties: Mapping[str, Any]) -> DerivedEvent:
    text = f"{name}\0{key}".encode()
    digest = blake2b(text, digest_size=16, key=cause.bytes, person=b"derived").digest()
    return DerivedEvent(UUID(bytes=digest), name, properties)
