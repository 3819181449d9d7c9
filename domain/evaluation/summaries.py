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

from domain.conditions import Condition, Happened, Leaf
from domain.conditions.people import Attribute, Handpicked, Tagged
from domain.core import lww_register
from domain.core.lww_register import Register, Registers
from domain.core.time import from_micros
from domain.profiles.facts import TAGGING, tags_named
from domain.profiles.view import TAGS

Value = Any
"""What is remembered; None: nothing yet."""

Adder = Callable[[Value, Happened], Value]
Sides = Sequence[tuple[Value, datetime | None]]
"""The values of a person's streams; those with an instant are demoted: see `domain.identity.resolution`."""

IDENTIFY = "identify"
_registers = msgspec.msgpack.Decoder(Registers).decode
_decode = msgspec.msgpack.Decoder().decode


class Memory(Protocol):
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

    def adder(self) -> Adder:
        """Return what adds an event to a value; one that does not matter gives the same value back."""
        ...

    def join(self, sides: Sides) -> Value:
        """Return the value of all sides together; none of them is None."""
        ...

    def kept(self, value: Value, clock: int, /) -> Value:
        """Return what has to be kept of a value from the clock on, as MessagePack can hold it; None for nothing."""
        ...

    def decode(self, stored: bytes | msgspec.Raw) -> Value:
        """Return the value that was kept."""
        ...


class Did:
    """What a condition remembers of what a person did."""

    kind = None

    def __init__(self, leaf: Leaf) -> None:
        self.leaf, self.key, self.names, self.watches = leaf, leaf.key, leaf.names, leaf.watches
        self.kept = leaf.pruned

    def adder(self) -> Adder:
        """Return the condition's own."""
        return self.leaf.adder()

    def join(self, sides: Sides) -> Value:
        """Return the condition's own join: whoever did it, the person did."""
        return reduce(self.leaf.join, (value for value, _ in sides))

    def decode(self, stored: bytes | msgspec.Raw) -> Value:
        """Return plain values."""
        return _decode(stored)


class _Plain:
    """A memory that looks at events of known names."""

    names: frozenset[str] = frozenset()

    def watches(self, name: str) -> bool:
        """Look among the names."""
        return name in self.names


class _Told(_Plain):
    """Registers of what was told of a person."""

    def join(self, sides: Sides) -> Value:
        """Let the latest word count, and that of demoted streams fill gaps only."""
        return lww_register.join(sides)

    def kept(self, value: Value, _clock: int) -> Value:
        """Keep it all, in the order of the names: words do not age."""
        return dict(sorted(value.items()))

    def decode(self, stored: bytes | msgspec.Raw) -> Value:
        """Return registers."""
        return _registers(stored)


class Trait(_Told):
    """The word on one attribute, of identify calls."""

    kind = IDENTIFY
    names = frozenset((IDENTIFY,))

    def __init__(self, name: str) -> None:
        self.name, self.key = name, f"attribute:{name}"

    def adder(self) -> Adder:
        """Return what takes the attribute's value."""
        name = self.name

        def add(value: Value, happened: Happened) -> Value:
            traits = happened.document["properties"]
            if name not in traits:
                return value
            return _with(value, name, happened, msgspec.json.encode(traits[name]))

        return add


class Tags(_Told):
    """The words on single tags, of `Tag Added` and `Tag Removed`."""

    kind = "track"
    key = TAGS
    names = frozenset(TAGGING)

    def adder(self) -> Adder:
        """Return what takes a tag's word."""

        def add(value: Value, happened: Happened) -> Value:
            said = TAGGING[happened.name]
            for tag in tags_named(happened.document["properties"]):
                value = _with(value, tag, happened, said)
            return value

        return add


class OnList(_Plain):
    """Whether the person is on the list of a segment that is kept by hand: the last word counts."""

    kind = None

    def __init__(self, segment: str) -> None:
        self.segment, self.key = segment, Handpicked(segment).key

    def adder(self) -> Adder:
        """Return what changes nothing: no message puts anybody on a list."""
        return lambda value, _: value

    def join(self, sides: Sides) -> Value:
        """Return the word of the highest position."""
        return max(value for value, _ in sides)

    def kept(self, value: Value, _clock: int) -> Value:
        """Keep it all: words do not age."""
        return value

    def decode(self, stored: bytes | msgspec.Raw) -> Value:
        """Return position and word."""
        return _decode(stored)


class Numbered(NamedTuple):
    """What is remembered, by its key, and the numbers that stand for the keys where values are stored."""

    memories: Mapping[str, Memory]
    numbers: Mapping[str, int]
    keys: Mapping[int, str]


NOT_NUMBERED = Numbered({}, {}, {})


class Lazily(dict[str, Value]):
    """What is remembered, by key; None: nothing.  Each value is put here when it is first asked for."""

    def get(self, key: str, default: Value = None) -> Value:
        """Return the value."""
        value = self[key]
        return default if value is None else value


class Remembered(Lazily):
    """What is remembered of a stream.  What was stored is decoded when it is first asked for."""

    __slots__ = ("_numbered", "stored")

    def __init__(
        self,
        values: Mapping[str, Value] = {},
        stored: Mapping[int, bytes | msgspec.Raw] = {},
        numbered: Numbered = NOT_NUMBERED,
    ) -> None:
        """``stored``: values by number, each of which stands for a key."""
        super().__init__(values)
        self.stored, self._numbered = stored, numbered

    def __missing__(self, key: str) -> Value:
        raw = self.stored.get(self._numbered.numbers.get(key, 0))
        value = self[key] = None if raw is None else self._numbered.memories[key].decode(raw)
        return value

    def among(self, keys: Iterable[str]) -> list[str]:
        """Return those of the keys under which something is remembered."""
        numbers, stored = self._numbered.numbers, self.stored
        return [
            it for it in keys if numbers.get(it) in stored or (it in self and self[it] is not None)
        ]

    def known(self) -> set[str]:
        """Return the keys under which something is remembered."""
        keys = self._numbered.keys
        found = (key for key, value in self.items() if value is not None)
        return {keys[it] for it in self.stored}.union(found)


def memories(condition: Condition) -> Iterator[Memory]:
    """Return what has to be remembered for a condition; the same may come more than once."""
    if isinstance(condition, Leaf):
        yield Did(condition)
    elif isinstance(condition, Attribute):
        # A name may hold dots of its own, or lead into a nested value.
        yield from map(Trait, sorted({condition.attribute, condition.outermost}))
    elif isinstance(condition, Tagged):
        yield from (Tags(), Trait(TAGS))
    elif isinstance(condition, Handpicked):
        yield OnList(condition.segment)
    for part in condition.parts:
        yield from memories(part)


def _with(value: Value, key: str, happened: Happened, said: bytes) -> Value:
    word = Register(from_micros(happened.at), happened.id, said)
    known = None if value is None else value.get(key)
    return value if known is not None and known >= word else {**(value or {}), key: word}
