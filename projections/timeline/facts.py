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
from domain.core.lww_register import NULL
from domain.events.payload import Document, members
from domain.profiles import facts as profile_facts
from domain.profiles import view as profile_view
from domain.profiles.view import CONTACTS, TAGS
from projections.runtime.batch import Message
from projections.timeline.tables import FIRST_OBSERVATION

How = Literal["is", "plus", "minus"]
"""Whether a value is all that holds from then on, or one that tags are added or removed by."""

PUSH = "push:"
TRAIT = "trait:"

LONGEST_FIELD = 256
"""Characters; an index entry of PostgreSQL holds at most 2,704 bytes."""

_CONTACTS = frozenset(it for traits in CONTACTS.values() for it in traits)
_decode = msgspec.json.Decoder().decode


class Observation(NamedTuple):
    """One message's word on one field of one stream."""

    stream: UUID
    field: str
    occurred_at: datetime
    id: UUID
    """Of the message's event."""

    how: How
    position: int
    ordinal: int
    """Of the event that may follow from it, in the timeline."""

    value: bytes
    """JSON; null unsets."""


class _Said(NamedTuple):
    field: str
    how: How
    value: bytes


def observations(message: Message) -> list[Observation]:
    """Return what the message says of the person.  Never fails."""
    recorded, event, document = message
    kind = event.kind
    if kind != "identify" and (kind != "track" or document.name not in profile_facts.ACTS):
        return []
    # The tags come last: as many events may follow from them as there are tags.
    said = sorted(_said(kind, document), key=attrgetter("field"))
    said.sort(key=_is_of_tags)
    places = enumerate(said, FIRST_OBSERVATION)
    stream, position, at, id_ = recorded.stream, recorded.position, event.occurred_at, event.id
    return [
        Observation(stream, field, at, id_, how, position, ordinal, value)
        for ordinal, (field, how, value) in places
    ]


def _is_of_tags(said: _Said) -> bool:
    return said.field == TRAIT + TAGS


def _said(kind: str, document: Document) -> Iterator[_Said]:
    if kind == "identify":
        for key, value in members(document.properties_json).items():
            yield _Said(_field(TRAIT, key), "is", _heard(key, value))
        context = document.parts.context
        device = None if context is None else profile_facts.device_of(context)
        if device is not None:
            yield _push(*device)
    elif document.name in profile_facts.TAGGING:
        how: How = "minus" if profile_facts.TAGGING[document.name] == NULL else "plus"
        named = sorted(set(profile_facts.tags_named(document.properties)))
        if named:
            yield _Said(TRAIT + TAGS, how, sanitise.dump(named))
    elif document.name == profile_facts.DEVICE_CHANGED:
        device = profile_facts.device_described(document)
        if device is not None:
            yield _push(*device)
    elif document.name == profile_facts.DEVICE_DELETED:
        token = profile_facts.device_named(document)
        if token is not None:
            yield _Said(_field(PUSH, token), "is", NULL)


def _push(token: str, fields: dict[str, bytes]) -> _Said:
    """Return the word on a push token: the sort of device, and nothing that changes with each call."""
    sort = _decode(fields.get("type") or fields.get("platform") or NULL)
    return _Said(_field(PUSH, token), "is", sanitise.dump({"token": token, "type": sort}))


def _heard(trait: str, value: bytes) -> bytes:
    """Return what a profile makes of a value: of a trait that is a contact, a text or nothing."""
    if trait == TAGS:
        return _tags(value)
    return sanitise.dump(profile_view.text_of(value)) if trait in _CONTACTS else value


def _tags(value: bytes) -> bytes:
    listed = _decode(value)
    texts = listed if isinstance(listed, list) else ()
    return sanitise.dump(sorted({it.strip() for it in texts if isinstance(it, str) and it.strip()}))


def _field(prefix: str, key: str) -> str:
    if len(key) <= LONGEST_FIELD:
        return prefix + key
    digest = blake2b(key.encode(), digest_size=16).hexdigest()
    return f"{prefix}{key[: LONGEST_FIELD - len(digest)]}{digest}"
