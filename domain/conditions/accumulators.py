"""Accumulators: the mergeable state that conditions need of each stream.

An accumulator's value is small and stored per stream under a key.  Events are added to it in any order; the
value of a profile is the merge of the values of its streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import msgspec

from domain.conditions.summary import EventView, Summarised
from domain.core import lww_register
from domain.core.lww_register import Register, Registers
from domain.core.tags import TAG_EVENTS, TAGS_TRAIT, tags_in
from domain.core.time import from_micros

AccumulatorValue = Any
"""The state of one accumulator and one stream; None if nothing was added."""

AddFunction = Callable[[AccumulatorValue, EventView], AccumulatorValue]
"""Returns the value with an event added; the same object if the event does not matter."""

Partials = Sequence[tuple[AccumulatorValue, datetime | None]]
"""Values of a profile's streams; the instant is set for demoted streams: see `domain.identity.resolution`."""

IDENTIFY = "identify"
"""Kind of the messages that set attributes."""

_decode_registers = msgspec.msgpack.Decoder(Registers).decode
_decode = msgspec.msgpack.Decoder().decode


class Accumulator:
    """What is accumulated per stream for a condition or a rule.

    A subclass implements `merge`, and `make_add` if it reads messages.
    """

    kind: str | None = None
    """Kind of message that it reads; None for every kind."""

    key: str
    """Key of its values; accumulators with equal keys are interchangeable."""

    names: frozenset[str] | None = frozenset()
    """Names of the events that it reads; None if a pattern decides."""

    leaf: Summarised | None = None
    """What its values are the summaries of; None if they are not summaries of events."""

    is_profile_fact = False
    """Whether its values are registers of attributes or tags."""

    def watches(self, name: str) -> bool:
        """Returns whether it reads events of a name."""
        return self.names is not None and name in self.names

    def make_add(self) -> AddFunction:
        """Returns the function that adds an event to a value; by default it changes nothing."""
        return lambda value, _event: value

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Merges the values of several streams, none of which is None."""
        raise NotImplementedError

    def to_stored(self, value: AccumulatorValue, clock: int) -> AccumulatorValue:  # noqa: ARG002 - most need everything
        """Returns what of a value matters after the clock, for MessagePack; None if nothing does."""
        return value

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Decodes a stored value."""
        return _decode(stored)


class EventAccumulator(Accumulator):
    """The summary that a condition on events needs."""

    leaf: Summarised

    def __init__(self, leaf: Summarised) -> None:
        self.leaf, self.key, self.names = leaf, leaf.key, leaf.names

    def watches(self, name: str) -> bool:
        """Returns whether the condition reads events of this name."""
        return self.leaf.watches(name)

    def make_add(self) -> AddFunction:
        """Returns the condition's own function."""
        return self.leaf.make_add()

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Merges as the condition does: events of all streams count equally."""
        return reduce(self.leaf.merge, (value for value, _ in partials))

    def to_stored(self, value: AccumulatorValue, clock: int) -> AccumulatorValue:
        """Drops what the condition does not need any more."""
        return self.leaf.prune(value, clock)


class _RegisterAccumulator(Accumulator):
    """Last-writer-wins registers of a profile's attributes or tags."""

    is_profile_fact = True

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Keeps the latest of each register; demoted streams only fill gaps."""
        return lww_register.merge_registers(partials)

    def to_stored(self, value: AccumulatorValue, clock: int) -> AccumulatorValue:  # noqa: ARG002 - registers do not expire
        """Keeps everything, sorted by name."""
        return dict(sorted(value.items()))

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Decodes stored registers."""
        return _decode_registers(stored)


class AttributeAccumulator(_RegisterAccumulator):
    """The register of one attribute, set by identify calls."""

    kind = IDENTIFY
    names = frozenset((IDENTIFY,))

    def __init__(self, name: str) -> None:
        self.name, self.key = name, f"attribute:{name}"

    def make_add(self) -> AddFunction:
        """Returns the function that sets the register from an identify call."""
        name = self.name

        def add(value: AccumulatorValue, event: EventView) -> AccumulatorValue:
            traits = event.document["properties"]
            if name not in traits:
                return value
            return _with_register(value, name, event, msgspec.json.encode(traits[name]))

        return add


class TagAccumulator(_RegisterAccumulator):
    """The registers of single tags, set by `Tag Added` and `Tag Removed`."""

    kind = "track"
    key = TAGS_TRAIT
    names = frozenset(TAG_EVENTS)

    def make_add(self) -> AddFunction:
        """Returns the function that sets the registers of the tags of an event."""

        def add(value: AccumulatorValue, event: EventView) -> AccumulatorValue:
            encoded = TAG_EVENTS[event.name]
            for tag in tags_in(event.document["properties"]):
                value = _with_register(value, tag, event, encoded)
            return value

        return add


class ListAccumulator(Accumulator):
    """Whether the profile is on a segment's manual list: the last change counts.

    Its value is the position of that change, and whether it put the profile on the list.  No message
    changes a manual list.
    """

    def __init__(self, key: str) -> None:
        self.key = key

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Returns the change with the highest position."""
        return max(value for value, _ in partials)


def _with_register(
    value: AccumulatorValue, key: str, event: EventView, encoded: bytes
) -> AccumulatorValue:
    register = Register(from_micros(event.occurred_at), event.id, encoded)
    current = None if value is None else value.get(key)
    return (
        value if current is not None and current >= register else {**(value or {}), key: register}
    )
