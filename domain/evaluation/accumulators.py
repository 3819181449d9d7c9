"""Accumulators: the mergeable state that conditions need of each stream.

An accumulator's value is small and stored per stream under a key.  Events are added to it in any order; the
value of a profile is the merge of the values of its streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any, NamedTuple, Protocol

import msgspec

from domain.conditions import Condition, EventView, Leaf
from domain.conditions.profile_facts import AttributeCondition, ManualListCondition, TagCondition
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


class Accumulator(Protocol):
    """What is accumulated per stream for a condition or a rule."""

    @property
    def kind(self) -> str | None:
        """Kind of message that it reads; None for every kind."""
        ...

    @property
    def key(self) -> str:
        """Key of its values; accumulators with equal keys are interchangeable."""
        ...

    @property
    def names(self) -> frozenset[str] | None:
        """Names of the events that it reads; None if a pattern decides."""
        ...

    def watches(self, name: str) -> bool:
        """Returns whether it reads events of a name."""
        ...

    def make_add(self) -> AddFunction:
        """Returns the function that adds an event to a value."""
        ...

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Merges the values of several streams, none of which is None."""
        ...

    def to_stored(self, value: AccumulatorValue, clock: int, /) -> AccumulatorValue:
        """Returns what of a value matters after the clock, for MessagePack; None if nothing does."""
        ...

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Decodes a stored value."""
        ...


class EventAccumulator:
    """The summary that a condition on events needs."""

    kind = None

    def __init__(self, leaf: Leaf) -> None:
        self.leaf, self.key, self.names, self.watches = leaf, leaf.key, leaf.names, leaf.watches
        self.to_stored = leaf.prune

    def make_add(self) -> AddFunction:
        """Returns the condition's own function."""
        return self.leaf.make_add()

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Merges as the condition does: events of all streams count equally."""
        return reduce(self.leaf.merge, (value for value, _ in partials))

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Decodes a stored value."""
        return _decode(stored)


class _NamedEventsAccumulator:
    """An accumulator that reads events of fixed names."""

    names: frozenset[str] = frozenset()

    def watches(self, name: str) -> bool:
        """Returns whether a name is one of them."""
        return name in self.names


class _RegisterAccumulator(_NamedEventsAccumulator):
    """Last-writer-wins registers of a profile's attributes or tags."""

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Keeps the latest of each register; demoted streams only fill gaps."""
        return lww_register.merge_registers(partials)

    def to_stored(self, value: AccumulatorValue, _clock: int) -> AccumulatorValue:
        """Keeps everything, sorted by name: registers do not expire."""
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


class ListAccumulator(_NamedEventsAccumulator):
    """Whether the profile is on a segment's manual list: the last change counts.

    Its value is the position of that change, and whether it put the profile on the list.
    """

    kind = None

    def __init__(self, segment: str) -> None:
        self.segment, self.key = segment, ManualListCondition(segment).key

    def make_add(self) -> AddFunction:
        """Returns a function that changes nothing: no message changes a manual list."""
        return lambda value, _: value

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Returns the change with the highest position."""
        return max(value for value, _ in partials)

    def to_stored(self, value: AccumulatorValue, _clock: int) -> AccumulatorValue:
        """Keeps everything: the last change does not expire."""
        return value

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Decodes a stored value."""
        return _decode(stored)


class AccumulatorCodec(NamedTuple):
    """How values are stored: accumulators by key, and the numbers stored instead of keys."""

    accumulators: Mapping[str, Accumulator]
    stored_ids: Mapping[str, int]
    keys: Mapping[int, str]


EMPTY_CODEC = AccumulatorCodec({}, {}, {})


class LazyDict(dict[str, AccumulatorValue]):
    """Values by key, each loaded at its first use; None if nothing was accumulated."""

    def get(self, key: str, default: AccumulatorValue = None) -> AccumulatorValue:
        """Returns the value, or the default if nothing was accumulated."""
        value = self[key]
        return default if value is None else value


class AccumulatorState(LazyDict):
    """The accumulated values of one stream; stored values are decoded at their first use."""

    __slots__ = ("_codec", "stored")

    def __init__(
        self,
        values: Mapping[str, AccumulatorValue] = {},
        stored: Mapping[int, bytes | msgspec.Raw] = {},
        codec: AccumulatorCodec = EMPTY_CODEC,
    ) -> None:
        """``stored`` are encoded values by stored id."""
        super().__init__(values)
        self.stored, self._codec = stored, codec

    def __missing__(self, key: str) -> AccumulatorValue:
        raw = self.stored.get(self._codec.stored_ids.get(key, 0))
        value = self[key] = None if raw is None else self._codec.accumulators[key].decode(raw)
        return value

    def nonempty_among(self, keys: Iterable[str]) -> list[str]:
        """Returns those of the keys that have a value."""
        stored_ids, stored = self._codec.stored_ids, self.stored
        return [
            key
            for key in keys
            if stored_ids.get(key) in stored or (key in self and self[key] is not None)
        ]

    def nonempty_keys(self) -> set[str]:
        """Returns the keys that have a value."""
        keys = self._codec.keys
        added = (key for key, value in self.items() if value is not None)
        return {keys[stored_id] for stored_id in self.stored}.union(added)


def required_accumulators(condition: Condition) -> Iterator[Accumulator]:
    """Yields the accumulators that a condition needs; the same key may come more than once."""
    if isinstance(condition, Leaf):
        yield EventAccumulator(condition)
    elif isinstance(condition, AttributeCondition):
        # The attribute's own name may contain dots, or the dots lead into a nested value.
        yield from map(
            AttributeAccumulator, sorted({condition.attribute, condition.top_level_name})
        )
    elif isinstance(condition, TagCondition):
        yield from (TagAccumulator(), AttributeAccumulator(TAGS_TRAIT))
    elif isinstance(condition, ManualListCondition):
        yield ListAccumulator(condition.segment)
    for part in condition.parts:
        yield from required_accumulators(part)


def _with_register(
    value: AccumulatorValue, key: str, event: EventView, encoded: bytes
) -> AccumulatorValue:
    register = Register(from_micros(event.occurred_at), event.id, encoded)
    current = None if value is None else value.get(key)
    return (
        value if current is not None and current >= register else {**(value or {}), key: register}
    )
