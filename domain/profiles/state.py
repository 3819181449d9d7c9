"""State of a stream, folded from its events, and the merge of stream states into a profile.

The state is a join semilattice: last-writer-wins registers, earliest and latest times, and sums over
distinct messages.  So events may arrive in any order, and a profile is the join of its streams at the time
of reading; merging and unmerging move no data.

Adding an event repeatedly changes only ``counts``; the ledger delivers each event once.
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
from domain.core.tags import TAG_EVENTS, tags_in
from domain.events.events import MessageEvent
from domain.events.payload import ParsedMessage, json_members
from domain.identity.resolved_profile import ResolvedProfile, strongest_first
from domain.profiles import facts as profile_facts

STATE_FORMAT = 2
"""Increment it when the meaning or layout of a stored state changes; snapshots are then retaken."""

COMMAND_KINDS = frozenset(("merge", "unmerge"))
"""Kinds of messages that are commands of an operator, not activity of the profile."""


class LwwElement(msgspec.Struct, array_like=True, gc=False):
    """A device or group of a profile; present from when it is mentioned until it is deleted."""

    last_added: Register | None = None
    last_removed: Register | None = None
    traits: Registers = {}
    """Its own attributes."""

    relationship: Registers = {}
    """Attributes of the profile's relationship to it."""


LwwElements = dict[str, LwwElement]

RegisterFactory = Callable[[bytes], Register]
"""Makes a register of a value (JSON) with the time and id of one event."""


class ProfileState(msgspec.Struct, array_like=True, gc=False):
    """State of one stream, or of a profile: the join of its streams."""

    identifiers: tuple[Identifier, ...] = ()
    """Of a stream, its own; of a profile, all, strongest kind first."""

    first_seen: datetime | None = None
    last_seen: datetime | None = None
    """Time of the latest activity: a message with ``context.active`` false does not count."""

    counts: dict[str, int] = {}
    """Number of messages by name."""

    attributes: Registers = {}
    """By top-level trait; a nested value is one register."""

    tags: Registers = {}
    """From `Tag Added` and `Tag Removed`; the trait ``tags`` is an attribute like others."""

    devices: LwwElements = {}
    """By token."""

    groups: LwwElements = {}
    """By `profile_facts.group_key`."""


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode = msgspec.msgpack.Decoder(ProfileState).decode


def encode(state: ProfileState) -> bytes:
    """Returns the state as bytes; equal states give equal bytes."""
    return _encode(state)


def decode(stored: bytes) -> ProfileState:
    """Returns the state of bytes made by `encode`."""
    return _decode(stored)


def add(state: ProfileState, event: MessageEvent, message: ParsedMessage) -> None:
    """Adds one message of a stream to its state, in place.  Never fails."""
    if not state.identifiers and event.subject is not None:
        state.identifiers = (event.subject,)
    kind, context = event.kind, message.parts.context
    if kind in COMMAND_KINDS:
        return
    _count_message(state, event.occurred_at, message)
    if kind == "track" and message.name in profile_facts.PROFILE_CHANGING_EVENTS:
        _apply_profile_event(state, message, _register_factory(event))
    elif kind == "identify":
        register_of = _register_factory(event)
        for key, value in json_members(message.properties_json).items():
            lww_register.put(state.attributes, key, register_of(value))
    elif kind == "group":
        _apply_group_call(state, message, _register_factory(event))
    if context is not None and context.device and message.name != profile_facts.DEVICE_DELETED:
        device = profile_facts.device_in_context(context)
        if device is not None:
            _add_element(state.devices, *device, _register_factory(event))


def merge(states: Mapping[UUID, ProfileState], profile: ResolvedProfile) -> ProfileState:
    """Returns a profile's state: the join of its streams' states, of those that have one.

    Values of a demoted stream up to its instant only fill gaps.
    """
    sides = [
        (states[stream], profile.demoted.get(stream))
        for stream in profile.streams
        if stream in states
    ]
    stream_states = [state for state, _ in sides]
    counts: dict[str, int] = {}
    for state in stream_states:
        for name, count in state.counts.items():
            counts[name] = counts.get(name, 0) + count
    lww_register.enforce_limit(counts)
    identifiers = {*profile.identifiers}.union(*(state.identifiers for state in stream_states))
    return ProfileState(
        identifiers=strongest_first(identifiers),
        first_seen=min((s.first_seen for s in stream_states if s.first_seen), default=None),
        last_seen=max((s.last_seen for s in stream_states if s.last_seen), default=None),
        counts=counts,
        attributes=lww_register.merge_registers((s.attributes, until) for s, until in sides),
        tags=lww_register.merge_registers((s.tags, until) for s, until in sides),
        devices=_merge_elements([(s.devices, until) for s, until in sides]),
        groups=_merge_elements([(s.groups, until) for s, until in sides]),
    )


def _register_factory(event: MessageEvent) -> RegisterFactory:
    return partial(Register, event.occurred_at, event.id.bytes)


def _count_message(state: ProfileState, at: datetime, message: ParsedMessage) -> None:
    counts, name = state.counts, message.name
    if name in counts:
        counts[name] += 1
    else:
        counts[name] = 1
        lww_register.enforce_limit(counts)
    if state.first_seen is None or at < state.first_seen:
        state.first_seen = at
    if state.last_seen is None or at > state.last_seen:
        context = message.parts.context
        if context is None or context.active is not False:
            state.last_seen = at


def _apply_profile_event(
    state: ProfileState, message: ParsedMessage, register_of: RegisterFactory
) -> None:
    """Applies a track call that changes the profile."""
    name = message.name
    if name in TAG_EVENTS:
        for tag in tags_in(message.properties):
            lww_register.put(state.tags, tag, register_of(TAG_EVENTS[name]))
    elif name == profile_facts.DEVICE_CHANGED:
        device = profile_facts.parse_device(message)
        if device is not None:
            _add_element(state.devices, *device, register_of)
    elif name == profile_facts.DEVICE_DELETED:
        token = profile_facts.deleted_device_token(message)
        if token is not None:
            _remove_element(state.devices, token, register_of)
    else:
        group = profile_facts.removed_group_key(message.properties)
        if group is not None:
            _remove_element(state.groups, group, register_of)


def _apply_group_call(
    state: ProfileState, message: ParsedMessage, register_of: RegisterFactory
) -> None:
    group = profile_facts.parse_group(message)
    if group is not None:
        element = _add_element(state.groups, group.key, group.traits, register_of)
        for key, value in group.relationship.items():
            lww_register.put(element.relationship, key, register_of(value))


def _add_element(
    elements: LwwElements, key: str, traits: Mapping[str, bytes], register_of: RegisterFactory
) -> LwwElement:
    element = _element(elements, key)
    element.last_added = lww_register.latest(element.last_added, register_of(b""))
    for trait, value in traits.items():
        lww_register.put(element.traits, trait, register_of(value))
    return element


def _remove_element(elements: LwwElements, key: str, register_of: RegisterFactory) -> None:
    element = _element(elements, key)
    element.last_removed = lww_register.latest(element.last_removed, register_of(b""))


def _element(elements: LwwElements, key: str) -> LwwElement:
    element = elements.get(key)
    if element is None:
        element = elements[key] = LwwElement()
        lww_register.enforce_limit(elements)
    return element


def _merge_elements(sides: Sequence[tuple[LwwElements, datetime | None]]) -> LwwElements:
    by_key: dict[str, list[tuple[LwwElement, datetime | None]]] = {}
    for elements, demoted_until in sides:
        for key, element in elements.items():
            by_key.setdefault(key, []).append((element, demoted_until))
    merged = {
        key: LwwElement(
            last_added=max((e.last_added for e, _ in same if e.last_added), default=None),
            last_removed=max((e.last_removed for e, _ in same if e.last_removed), default=None),
            traits=lww_register.merge_registers((e.traits, until) for e, until in same),
            relationship=lww_register.merge_registers((e.relationship, until) for e, until in same),
        )
        for key, same in by_key.items()
    }
    lww_register.enforce_limit(merged)
    return merged
