"""Observations: the values that messages give to the fields of a profile.

Only calls about the profile are read: identify calls, and the track calls that change profiles
(`profile_facts.PROFILE_CHANGING_EVENTS`).  The push token, which phones add to every event they send, is
read from these calls alone, too; all others would repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from domain.core import sanitise
from domain.core.lww_register import JSON_NULL
from domain.core.tags import TAG_EVENTS, TAGS_TRAIT, tags_in
from domain.events.payload import ParsedMessage, json_members
from domain.profiles import facts as profile_facts
from domain.profiles import view as profile_view
from domain.profiles.view import CONTACT_TRAITS
from projections.runtime.batch import DecodedMessage
from projections.timeline.tables import FIRST_OBSERVATION

ObservationKind = Literal["is", "plus", "minus"]
"""Whether a value replaces the field (``is``), or adds tags to it or removes them."""

PUSH_PREFIX = "push:"
TRAIT_PREFIX = "trait:"

MAX_FIELD_LENGTH = 256
"""Characters; an index entry of PostgreSQL holds at most 2,704 bytes."""

_CONTACTS = frozenset(trait for traits in CONTACT_TRAITS.values() for trait in traits)
_decode = msgspec.json.Decoder().decode


class Observation(NamedTuple):
    """The value that one message gives to one field of one stream."""

    stream: UUID
    field: str
    occurred_at: datetime
    id: UUID
    """Id of the message's event."""

    kind: ObservationKind
    position: int
    ordinal: int
    """Ordinal in the timeline of the event that may be derived from it."""

    value: bytes
    """JSON; null unsets."""


class _FieldFact(NamedTuple):
    field: str
    kind: ObservationKind
    value: bytes


def observe_message(message: DecodedMessage) -> list[Observation]:
    """Returns the observations of a message.  Never fails."""
    recorded, event, document = message
    kind = event.kind
    if kind != "identify" and (
        kind != "track" or document.name not in profile_facts.PROFILE_CHANGING_EVENTS
    ):
        return []
    # The tags come last: as many events may be derived from them as there are tags.
    facts = sorted(_field_facts(kind, document), key=attrgetter("field"))
    facts.sort(key=_is_tags_field)
    numbered = enumerate(facts, FIRST_OBSERVATION)
    stream, position, at, id_ = recorded.stream, recorded.position, event.occurred_at, event.id
    return [
        Observation(stream, field, at, id_, fact_kind, position, ordinal, value)
        for ordinal, (field, fact_kind, value) in numbered
    ]


def _is_tags_field(fact: _FieldFact) -> bool:
    return fact.field == TRAIT_PREFIX + TAGS_TRAIT


def _field_facts(kind: str, document: ParsedMessage) -> Iterator[_FieldFact]:
    if kind == "identify":
        for key, value in json_members(document.properties_json).items():
            yield _FieldFact(_field(TRAIT_PREFIX, key), "is", _normalise(key, value))
        context = document.parts.context
        device = None if context is None else profile_facts.device_in_context(context)
        if device is not None:
            yield _push_fact(*device)
    elif document.name in TAG_EVENTS:
        fact_kind: ObservationKind = "minus" if TAG_EVENTS[document.name] == JSON_NULL else "plus"
        tags = sorted(set(tags_in(document.properties)))
        if tags:
            yield _FieldFact(TRAIT_PREFIX + TAGS_TRAIT, fact_kind, sanitise.dump_json(tags))
    elif document.name == profile_facts.DEVICE_CHANGED:
        device = profile_facts.parse_device(document)
        if device is not None:
            yield _push_fact(*device)
    elif document.name == profile_facts.DEVICE_DELETED:
        token = profile_facts.deleted_device_token(document)
        if token is not None:
            yield _FieldFact(_field(PUSH_PREFIX, token), "is", JSON_NULL)


def _push_fact(token: str, fields: dict[str, bytes]) -> _FieldFact:
    """Returns the fact about a push token: the type of device, which is stable across calls."""
    type_ = _decode(fields.get("type") or fields.get("platform") or JSON_NULL)
    return _FieldFact(
        _field(PUSH_PREFIX, token), "is", sanitise.dump_json({"token": token, "type": type_})
    )


def _normalise(trait: str, value: bytes) -> bytes:
    """Returns a value as a profile shows it: a trait that is a contact is a text or null."""
    if trait == TAGS_TRAIT:
        return _normalise_tags(value)
    return sanitise.dump_json(profile_view.json_text(value)) if trait in _CONTACTS else value


def _normalise_tags(value: bytes) -> bytes:
    decoded = _decode(value)
    tags = decoded if isinstance(decoded, list) else ()
    return sanitise.dump_json(
        sorted({tag.strip() for tag in tags if isinstance(tag, str) and tag.strip()})
    )


def _field(prefix: str, key: str) -> str:
    if len(key) <= MAX_FIELD_LENGTH:
        return prefix + key
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return f"{prefix}{key[: MAX_FIELD_LENGTH - len(digest)]}{digest}"
