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
from domain.events.payload import ParsedMessage, json_members
from domain.identity.resolved_profile import ResolvedProfile, strongest_first
from domain.profiles import facts as profile_facts

STATE_FORMAT = 2
"""Raised when the meaning or layout of a stored state changes; stored ones are then made anew."""

COMMAND_KINDS = frozenset(("merge", "unmerge"))
"""What somebody decided about a person is nothing that the person did."""


class LwwElement(msgspec.Struct, array_like=True, gc=False):
    """A device or group of a person: theirs from when it is mentioned until it is deleted."""

    last_added: Register | None = None
    last_removed: Register | None = None
    traits: Registers = {}
    """What it is like."""

    relationship: Registers = {}
    """What the person is to it."""


LwwElements = dict[str, LwwElement]

RegisterFactory = Callable[[bytes], Register]
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

    devices: LwwElements = {}
    """By token."""

    groups: LwwElements = {}
    """By `profile_facts.group_key`."""


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(ProfileState).decode


def encode(state: ProfileState) -> bytes:
    """Return the state as bytes; equal states are equal bytes."""
    return _encode(state)


def decode(stored: bytes) -> ProfileState:
    """Return the state that :func:`encode` was given."""
    return _decode(stored)


def add(state: ProfileState, event: MessageEvent, message: ParsedMessage) -> None:
    """Take one message of the stream into its state, in place.  Never fails."""
    if not state.identifiers and event.subject is not None:
        state.identifiers = (event.subject,)
    kind, context = event.kind, message.parts.context
    if kind in COMMAND_KINDS:
        return
    _count_message(state, event.occurred_at, message)
    if kind == "track" and message.name in profile_facts.PROFILE_CHANGING_EVENTS:
        _apply_profile_event(state, message, _register_factory(event))
    elif kind == "identify":
        word = _register_factory(event)
        for key, value in json_members(message.properties_json).items():
            lww_register.put(state.attributes, key, word(value))
    elif kind == "group":
        _apply_group_call(state, message, _register_factory(event))
    if context is not None and context.device and message.name != profile_facts.DEVICE_DELETED:
        device = profile_facts.device_in_context(context)
        if device is not None:
            _add_element(state.devices, *device, _register_factory(event))


def merge(states: Mapping[UUID, ProfileState], profile: ResolvedProfile) -> ProfileState:
    """Return the person's state from those of their streams; streams without one are left out."""
    demoted = [(states[it], profile.demoted.get(it)) for it in profile.streams if it in states]
    each = [state for state, _ in demoted]
    counts: dict[str, int] = {}
    for state in each:
        for name, count in state.counts.items():
            counts[name] = counts.get(name, 0) + count
    lww_register.enforce_limit(counts)
    names = {*profile.identifiers, *(name for state in each for name in state.identifiers)}
    return ProfileState(
        identifiers=strongest_first(names),
        first_seen=min((it.first_seen for it in each if it.first_seen), default=None),
        last_seen=max((it.last_seen for it in each if it.last_seen), default=None),
        counts=counts,
        attributes=lww_register.merge_registers((it.attributes, until) for it, until in demoted),
        tags=lww_register.merge_registers((it.tags, until) for it, until in demoted),
        devices=_merge_elements([(it.devices, until) for it, until in demoted]),
        groups=_merge_elements([(it.groups, until) for it, until in demoted]),
    )


def _register_factory(event: MessageEvent) -> RegisterFactory:
    return partial(Register, event.occurred_at, event.id.bytes)


def _count_message(state: ProfileState, at: datetime, said: ParsedMessage) -> None:
    counts, name = state.counts, said.name
    if name in counts:
        counts[name] += 1
    else:
        counts[name] = 1
        lww_register.enforce_limit(counts)
    if state.first_seen is None or at < state.first_seen:
        state.first_seen = at
    if state.last_seen is None or at > state.last_seen:
        context = said.parts.context
        if context is None or context.active is not False:
            state.last_seen = at


def _apply_profile_event(state: ProfileState, said: ParsedMessage, word: RegisterFactory) -> None:
    """Do what the events do that act, not only tell."""
    name = said.name
    if name in profile_facts.TAG_EVENTS:
        for tag in profile_facts.tags_in(said.properties):
            lww_register.put(state.tags, tag, word(profile_facts.TAG_EVENTS[name]))
    elif name == profile_facts.DEVICE_CHANGED:
        device = profile_facts.parse_device(said)
        if device is not None:
            _add_element(state.devices, *device, word)
    elif name == profile_facts.DEVICE_DELETED:
        token = profile_facts.deleted_device_token(said)
        if token is not None:
            _remove_element(state.devices, token, word)
    else:
        group = profile_facts.removed_group_key(said.properties)
        if group is not None:
            _remove_element(state.groups, group, word)


def _apply_group_call(state: ProfileState, said: ParsedMessage, word: RegisterFactory) -> None:
    group = profile_facts.parse_group(said)
    if group is not None:
        thing = _add_element(state.groups, group.key, group.traits, word)
        for key, value in group.relationship.items():
            lww_register.put(thing.relationship, key, word(value))


def _add_element(
    things: LwwElements, key: str, traits: Mapping[str, bytes], word: RegisterFactory
) -> LwwElement:
    thing = _element(things, key)
    thing.last_added = lww_register.latest(thing.last_added, word(b""))
    for trait, value in traits.items():
        lww_register.put(thing.traits, trait, word(value))
    return thing


def _remove_element(things: LwwElements, key: str, word: RegisterFactory) -> None:
    thing = _element(things, key)
    thing.last_removed = lww_register.latest(thing.last_removed, word(b""))


def _element(things: LwwElements, key: str) -> LwwElement:
    thing = things.get(key)
    if thing is None:
        thing = things[key] = LwwElement()
        lww_register.enforce_limit(things)
    return thing


def _merge_elements(sides: Sequence[tuple[LwwElements, datetime | None]]) -> LwwElements:
    known: dict[str, list[tuple[LwwElement, datetime | None]]] = {}
    for things, demoted in sides:
        for key, thing in things.items():
            known.setdefault(key, []).append((thing, demoted))
    joined = {
        key: LwwElement(
            last_added=max((it.last_added for it, _ in same if it.last_added), default=None),
            last_removed=max((it.last_removed for it, _ in same if it.last_removed), default=None),
            traits=lww_register.merge_registers((it.traits, until) for it, until in same),
            relationship=lww_register.merge_registers(
                (it.relationship, until) for it, until in same
            ),
        )
        for key, same in known.items()
    }
    lww_register.enforce_limit(joined)
    return joined
