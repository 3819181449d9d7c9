"""What a stream's events add up to, and how the states of a person's streams make one profile.

The state is a join semilattice: registers of which the latest word wins, earliest and latest times,
and sums over distinct messages.  So events may come in any order, and a person is the join of their
streams whenever they are looked at; merging and unmerging move nothing.

Of one event, everything but ``counts`` may be added any number of times; the ledger gives each out
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec

from domain.core import lww_register
from domain.core.identifiers import Identifier
from domain.core.lww_register import Register, Registers
from domain.events.events import MessageEvent
from domain.events.payload import Document, members
from domain.identity.resolved_profile import Person, strongest_first
from domain.profiles import facts as profile_facts

FORMAT = 2
"""Raised when the meaning or layout of a stored state changes; stored ones are then made anew."""

DECISIONS = frozenset(("merge", "unmerge"))
"""What somebody decided about a person is nothing that the person did."""


class Thing(msgspec.Struct, array_like=True, gc=False):
    """A device or group of a person: theirs from when it is mentioned until it is deleted."""

    mentioned: Register | None = None
    deleted: Register | None = None
    traits: Registers = {}
    """What it is like."""

    relationship: Registers = {}
    """What the person is to it."""


Things = dict[str, Thing]

Word = Callable[[bytes], Register]
"""Makes a register of a value that the event at hand says."""


class ProfileState(msgspec.Struct, array_like=True, gc=False):
    """What is known of one stream, or of a person once their streams are joined."""

    identifiers: tuple[Identifier, ...] = ()
    """Of a stream, its own; of a person, all, strongest kind first."""

    first_seen: datetime | None = None
    last_seen: datetime | None = None
    """Of what the person did: a message with ``context.active`` false does not count."""

    counts: dict[str, int] = {}
    """Messages of each name."""

    attributes: Registers = {}
    """By top-level trait; a nested value is kept whole."""

    tags: Registers = {}
    """What `Tag Added` and `Tag Removed` said; the trait ``tags`` is an attribute like others."""

    devices: Things = {}
    """By token."""

    groups: Things = {}
    """By `profile_facts.group_key`."""


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(ProfileState).decode


def encode(state: ProfileState) -> bytes:
    """Return the state as bytes; equal states are equal bytes."""
    return _encode(state)


def decode(stored: bytes) -> ProfileState:
    """Return the state that :func:`encode` was given."""
    return _decode(stored)


def add(state: ProfileState, event: MessageEvent, said: Document) -> None:
    """Take one message of the stream into its state, in place.  Never fails."""
    if not state.identifiers and event.subject is not None:
        state.identifiers = (event.subject,)
    kind, context = event.kind, said.parts.context
    if kind in DECISIONS:
        return
    _see(state, event.occurred_at, said)
    if kind == "track" and said.name in profile_facts.ACTS:
        _act(state, said, _word(event))
    elif kind == "identify":
        word = _word(event)
        for key, value in members(said.properties_json).items():
            lww_register.put(state.attributes, key, word(value))
    elif kind == "group":
        _group(state, said, _word(event))
    if context is not None and context.device and said.name != profile_facts.DEVICE_DELETED:
        device = profile_facts.device_of(context)
        if device is not None:
            _mention(state.devices, *device, _word(event))


def join(states: Mapping[UUID, ProfileState], person: Person) -> ProfileState:
    """Return the person's state from those of their streams; streams without one are left out."""
    demoted = [(states[it], person.demoted.get(it)) for it in person.streams if it in states]
    each = [state for state, _ in demoted]
    counts: dict[str, int] = {}
    for state in each:
        for name, count in state.counts.items():
            counts[name] = counts.get(name, 0) + count
    lww_register.limit(counts)
    names = {*person.identifiers, *(name for state in each for name in state.identifiers)}
    return ProfileState(
        identifiers=strongest_first(names),
        first_seen=min((it.first_seen for it in each if it.first_seen), default=None),
        last_seen=max((it.last_seen for it in each if it.last_seen), default=None),
        counts=counts,
        attributes=lww_register.join((it.attributes, until) for it, until in demoted),
        tags=lww_register.join((it.tags, until) for it, until in demoted),
        devices=_join_things([(it.devices, until) for it, until in demoted]),
        groups=_join_things([(it.groups, until) for it, until in demoted]),
    )


def _word(event: MessageEvent) -> Word:
    return partial(Register, event.occurred_at, event.id.bytes)


def _see(state: ProfileState, at: datetime, said: Document) -> None:
    counts, name = state.counts, said.name
    if name in counts:
        counts[name] += 1
    else:
        counts[name] = 1
        lww_register.limit(counts)
    if state.first_seen is None or at < state.first_seen:
        state.first_seen = at
    if state.last_seen is None or at > state.last_seen:
        context = said.parts.context
        if context is None or context.active is not False:
            state.last_seen = at


def _act(state: ProfileState, said: Document, word: Word) -> None:
    """Do what the events do that act, not only tell."""
    name = said.name
    if name in profile_facts.TAGGING:
        for tag in profile_facts.tags_named(said.properties):
            lww_register.put(state.tags, tag, word(profile_facts.TAGGING[name]))
    elif name == profile_facts.DEVICE_CHANGED:
        device = profile_facts.device_described(said)
        if device is not None:
            _mention(state.devices, *device, word)
    elif name == profile_facts.DEVICE_DELETED:
        token = profile_facts.device_named(said)
        if token is not None:
            _delete(state.devices, token, word)
    else:
        group = profile_facts.group_named(said.properties)
        if group is not None:
            _delete(state.groups, group, word)


def _group(state: ProfileState, said: Document, word: Word) -> None:
    group = profile_facts.group(said)
    if group is not None:
        thing = _mention(state.groups, group.key, group.traits, word)
        for key, value in group.relationship.items():
            lww_register.put(thing.relationship, key, word(value))


def _mention(things: Things, key: str, traits: Mapping[str, bytes], word: Word) -> Thing:
    thing = _thing(things, key)
    thing.mentioned = lww_register.latest(thing.mentioned, word(b""))
    for trait, value in traits.items():
        lww_register.put(thing.traits, trait, word(value))
    return thing


def _delete(things: Things, key: str, word: Word) -> None:
    thing = _thing(things, key)
    thing.deleted = lww_register.latest(thing.deleted, word(b""))


def _thing(things: Things, key: str) -> Thing:
    thing = things.get(key)
    if thing is None:
        thing = things[key] = Thing()
        lww_register.limit(things)
    return thing


def _join_things(sides: Sequence[tuple[Things, datetime | None]]) -> Things:
    known: dict[str, list[tuple[Thing, datetime | None]]] = {}
    for things, demoted in sides:
        for key, thing in things.items():
            known.setdefault(key, []).append((thing, demoted))
    joined = {
        key: Thing(
            mentioned=max((it.mentioned for it, _ in same if it.mentioned), default=None),
            deleted=max((it.deleted for it, _ in same if it.deleted), default=None),
            traits=lww_register.join((it.traits, until) for it, until in same),
            relationship=lww_register.join((it.relationship, until) for it, until in same),
        )
        for key, same in known.items()
    }
    lww_register.limit(joined)
    return joined
