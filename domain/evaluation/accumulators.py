"""What is remembered of each stream so that it can be told who is in which segment.

A memory is a small value, kept by stream under a key: events are added to it in any order, and a
person's is the join of those of their streams.
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
from domain.core.time import from_micros
from domain.profiles.facts import TAG_EVENTS, tags_in
from domain.profiles.view import TAGS_TRAIT

AccumulatorValue = Any
"""What is remembered; None: nothing yet."""

AddFunction = Callable[[AccumulatorValue, EventView], AccumulatorValue]
Partials = Sequence[tuple[AccumulatorValue, datetime | None]]
"""The values of a person's streams; those with an instant are demoted: see `domain.identity.resolution`."""

IDENTIFY = "identify"
_decode_registers = msgspec.msgpack.Decoder(Registers).decode
_decode = msgspec.msgpack.Decoder().decode


class Accumulator(Protocol):
    """One kind of thing that is remembered."""

    @property
    def kind(self) -> str | None:
        """The kind of message that it looks at; None: any."""
        ...

    @property
    def key(self) -> str:
        """What it is kept under: memories of the same are the same."""
        ...

    @property
    def names(self) -> frozenset[str] | None:
        """Names of the events that it looks at; None: a pattern tells them."""
        ...

    def watches(self, name: str) -> bool:
        """Say whether it looks at events of a name."""
        ...

    def make_add(self) -> AddFunction:
        """Return what adds an event to a value; one that does not matter gives the same value back."""
        ...

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Return the value of all sides together; none of them is None."""
        ...

    def to_stored(self, value: AccumulatorValue, clock: int, /) -> AccumulatorValue:
        """Return what has to be kept of a value from the clock on, as MessagePack can hold it; None for nothing."""
        ...

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Return the value that was kept."""
        ...


class EventAccumulator:
    """What a condition remembers of what a person did."""

    kind = None

    def __init__(self, leaf: Leaf) -> None:
        self.leaf, self.key, self.names, self.watches = leaf, leaf.key, leaf.names, leaf.watches
        self.to_stored = leaf.prune

    def make_add(self) -> AddFunction:
        """Return the condition's own."""
        return self.leaf.make_add()

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Return the condition's own join: whoever did it, the person did."""
        return reduce(self.leaf.merge, (value for value, _ in partials))

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Return plain values."""
        return _decode(stored)


class _NamedEventsAccumulator:
    """A memory that looks at events of known names."""

    names: frozenset[str] = frozenset()

    def watches(self, name: str) -> bool:
        """Look among the names."""
        return name in self.names


class _RegisterAccumulator(_NamedEventsAccumulator):
    """Registers of what was told of a person."""

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Let the latest word count, and that of demoted streams fill gaps only."""
        return lww_register.merge_registers(partials)

    def to_stored(self, value: AccumulatorValue, _clock: int) -> AccumulatorValue:
        """Keep it all, in the order of the names: words do not age."""
        return dict(sorted(value.items()))

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Return registers."""
        return _decode_registers(stored)


class AttributeAccumulator(_RegisterAccumulator):
    """The word on one attribute, of identify calls."""

    kind = IDENTIFY
    names = frozenset((IDENTIFY,))

    def __init__(self, name: str) -> None:
        self.name, self.key = name, f"attribute:{name}"

    def make_add(self) -> AddFunction:
        """Return what takes the attribute's value."""
        name = self.name

        def add(value: AccumulatorValue, happened: EventView) -> AccumulatorValue:
            traits = happened.document["properties"]
            if name not in traits:
                return value
            return _with_register(value, name, happened, msgspec.json.encode(traits[name]))

        return add


class TagAccumulator(_RegisterAccumulator):
    """The words on single tags, of `Tag Added` and `Tag Removed`."""

    kind = "track"
    key = TAGS_TRAIT
    names = frozenset(TAG_EVENTS)

    def make_add(self) -> AddFunction:
        """Return what takes a tag's word."""

        def add(value: AccumulatorValue, happened: EventView) -> AccumulatorValue:
            said = TAG_EVENTS[happened.name]
            for tag in tags_in(happened.document["properties"]):
                value = _with_register(value, tag, happened, said)
            return value

        return add


class ListAccumulator(_NamedEventsAccumulator):
    """Whether the person is on the list of a segment that is kept by hand: the last word counts."""

    kind = None

    def __init__(self, segment: str) -> None:
        self.segment, self.key = segment, ManualListCondition(segment).key

    def make_add(self) -> AddFunction:
        """Return what changes nothing: no message puts anybody on a list."""
        return lambda value, _: value

    def merge(self, partials: Partials) -> AccumulatorValue:
        """Return the word of the highest position."""
        return max(value for value, _ in partials)

    def to_stored(self, value: AccumulatorValue, _clock: int) -> AccumulatorValue:
        """Keep it all: words do not age."""
        return value

    def decode(self, stored: bytes | msgspec.Raw) -> AccumulatorValue:
        """Return position and word."""
        return _decode(stored)


class AccumulatorCodec(NamedTuple):
    """What is remembered, by its key, and the numbers that stand for the keys where values are stored."""

    accumulators: Mapping[str, Accumulator]
    stored_ids: Mapping[str, int]
    keys: Mapping[int, str]


EMPTY_CODEC = AccumulatorCodec({}, {}, {})


class LazyDict(dict[str, AccumulatorValue]):
    """What is remembered, by key; None: nothing.  Each value is put here when it is first asked for."""

    def get(self, key: str, default: AccumulatorValue = None) -> AccumulatorValue:
        """Return the value."""
        value = self[key]
        return default if value is None else value


class AccumulatorState(LazyDict):
    """What is remembered of a stream.  What was stored is decoded when it is first asked for."""

    __slots__ = ("_codec", "stored")

    def __init__(
        self,
        values: Mapping[str, AccumulatorValue] = {},
        stored: Mapping[int, bytes | msgspec.Raw] = {},
        codec: AccumulatorCodec = EMPTY_CODEC,
    ) -> None:
        """``stored``: values by number, each of which stands for a key."""
        super().__init__(values)
        self.stored, self._codec = stored, codec

    def __missing__(self, key: str) -> AccumulatorValue:
        raw = self.stored.get(self._codec.stored_ids.get(key, 0))
        value = self[key] = None if raw is None else self._codec.accumulators[key].decode(raw)
        return value

    def nonempty_among(self, keys: Iterable[str]) -> list[str]:
        """Return those of the keys under which something is remembered."""
        numbers, stored = self._codec.stored_ids, self.stored
        return [
            it for it in keys if numbers.get(it) in stored or (it in self and self[it] is not None)
        ]

    def nonempty_keys(self) -> set[str]:
        """Return the keys under which something is remembered."""
        keys = self._codec.keys
        found = (key for key, value in self.items() if value is not None)
        return {keys[it] for it in self.stored}.union(found)


def required_accumulators(condition: Condition) -> Iterator[Accumulator]:
    """Return what has to be remembered for a condition; the same may come more than once."""
    if isinstance(condition, Leaf):
        yield EventAccumulator(condition)
    elif isinstance(condition, AttributeCondition):
        # A name may hold dots of its own, or lead into a nested value.
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
    value: AccumulatorValue, key: str, happened: EventView, encoded: bytes
) -> AccumulatorValue:
    register = Register(from_micros(happened.occurred_at), happened.id, encoded)
    current = None if value is None else value.get(key)
    return (
        value if current is not None and current >= register else {**(value or {}), key: register}
    )
