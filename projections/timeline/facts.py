"""What messages say of a person, one observation for each thing said.

Only the calls that are about the person are looked at: identify calls, and the track calls that act
(`profile_facts.ACTS`).  The push token that phones add to every event they send is taken from those
alone too; all others would say the same again.
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
from domain.events.payload import ParsedMessage, json_members
from domain.profiles import facts as profile_facts
from domain.profiles import view as profile_view
from domain.profiles.view import CONTACT_TRAITS, TAGS_TRAIT
from projections.runtime.batch import DecodedMessage
from projections.timeline.tables import FIRST_OBSERVATION

ObservationKind = Literal["is", "plus", "minus"]
"""Whether a value is all that holds from then on, or one that tags are added or removed by."""

PUSH_PREFIX = "push:"
TRAIT_PREFIX = "trait:"

MAX_FIELD_LENGTH = 256
"""Characters; an index entry of PostgreSQL holds at most 2,704 bytes."""

_CONTACTS = frozenset(it for traits in CONTACT_TRAITS.values() for it in traits)
_decode = msgspec.json.Decoder().decode


class Observation(NamedTuple):
    """One message's word on one field of one stream."""

    stream: UUID
    field: str
    occurred_at: datetime
    id: UUID
    """Of the message's event."""

    how: ObservationKind
    position: int
    ordinal: int
    """Of the event that may follow from it, in the timeline."""

    value: bytes
    """JSON; null unsets."""


class _FieldFact(NamedTuple):
    field: str
    how: ObservationKind
    value: bytes


def observe_message(message: DecodedMessage) -> list[Observation]:
    """Return what the message says of the person.  Never fails."""
    recorded, event, document = message
    kind = event.kind
    if kind != "identify" and (
        kind != "track" or document.name not in profile_facts.PROFILE_CHANGING_EVENTS
    ):
        return []
    # The tags come last: as many events may follow from them as there are tags.
    said = sorted(_field_facts(kind, document), key=attrgetter("field"))
    said.sort(key=_is_tags_field)
    places = enumerate(said, FIRST_OBSERVATION)
    stream, position, at, id_ = recorded.stream, recorded.position, event.occurred_at, event.id
    return [
        Observation(stream, field, at, id_, how, position, ordinal, value)
        for ordinal, (field, how, value) in places
    ]


def _is_tags_field(said: _FieldFact) -> bool:
    return said.field == TRAIT_PREFIX + TAGS_TRAIT


def _field_facts(kind: str, document: ParsedMessage) -> Iterator[_FieldFact]:
    if kind == "identify":
        for key, value in json_members(document.properties_json).items():
            yield _FieldFact(_field(TRAIT_PREFIX, key), "is", _normalise(key, value))
        context = document.parts.context
        device = None if context is None else profile_facts.device_in_context(context)
        if device is not None:
            yield _push_fact(*device)
    elif document.name in profile_facts.TAG_EVENTS:
        how: ObservationKind = (
            "minus" if profile_facts.TAG_EVENTS[document.name] == JSON_NULL else "plus"
        )
        named = sorted(set(profile_facts.tags_in(document.properties)))
        if named:
            yield _FieldFact(TRAIT_PREFIX + TAGS_TRAIT, how, sanitise.dump_json(named))
    elif document.name == profile_facts.DEVICE_CHANGED:
        device = profile_facts.parse_device(document)
        if device is not None:
            yield _push_fact(*device)
    elif document.name == profile_facts.DEVICE_DELETED:
        token = profile_facts.deleted_device_token(document)
        if token is not None:
            yield _FieldFact(_field(PUSH_PREFIX, token), "is", JSON_NULL)


def _push_fact(token: str, fields: dict[str, bytes]) -> _FieldFact:
    """Return the word on a push token: the sort of device, and nothing that changes with each call."""
    sort = _decode(fields.get("type") or fields.get("platform") or JSON_NULL)
    return _FieldFact(
        _field(PUSH_PREFIX, token), "is", sanitise.dump_json({"token": token, "type": sort})
    )


def _normalise(trait: str, value: bytes) -> bytes:
    """Return what a profile makes of a value: of a trait that is a contact, a text or nothing."""
    if trait == TAGS_TRAIT:
        return _normalise_tags(value)
    return sanitise.dump_json(profile_view.json_text(value)) if trait in _CONTACTS else value


def _normalise_tags(value: bytes) -> bytes:
    listed = _decode(value)
    texts = listed if isinstance(listed, list) else ()
    return sanitise.dump_json(
        sorted({it.strip() for it in texts if isinstance(it, str) and it.strip()})
    )


def _field(prefix: str, key: str) -> str:
    if len(key) <= MAX_FIELD_LENGTH:
        return prefix + key
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return f"{prefix}{key[: MAX_FIELD_LENGTH - len(digest)]}{digest}"
