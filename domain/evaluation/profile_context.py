"""What is known of a person from the memories of their streams, joined when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import Known, Told
from domain.evaluation.segment_index import Rules
from domain.evaluation.summaries import Lazily, Remembered, Sides, Value
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState
from domain.profiles.view import TAGS


class Whose(NamedTuple):
    """Which person a stream is of."""

    person: UUID
    kind: str
    """Kind of the identifier that owns it."""

    guessed: bool = False
    demoted: datetime | None = None
    """See `domain.identity.resolution.Component`."""


class Stream:
    """One stream, and what is remembered of it."""

    __slots__ = ("changed", "first_at", "memory", "met_by", "recalled", "touched", "upto", "whose")

    def __init__(
        self,
        whose: Whose,
        first_at: int | None = None,
        memory: Remembered | None = None,
        met_by: int = 0,
    ) -> None:
        self.whose, self.first_at, self.met_by = whose, first_at, met_by
        self.memory = Remembered() if memory is None else memory
        self.upto = met_by
        """Position up to which it is remembered, whatever was asked for by then.

        There is nothing to remember from before it was first met, at ``met_by``.
        """

        self.recalled = False
        """Whether it is to be kept that this is further than before, even if nothing is remembered."""

        self.changed = False
        """Whether anything but the memory is different from before."""

        self.touched: dict[str, int] = {}
        """Keys of what is remembered that is different from before, and when that came."""

    def remember(self, values: Mapping[str, Value], clock: int) -> None:
        """Remember something else under some keys from the clock on."""
        self.memory.update(values)
        self.touched.update(dict.fromkeys(values, clock))

    def looks_ahead(self, told: Collection[str]) -> bool:
        """Whether it is remembered of an event whose time is still to come; what was ``told`` has no time."""
        memory = self.memory
        return any(isinstance(memory[it], dict) for it in memory.known() if it not in told)

    def recall(self, values: Mapping[str, tuple[Value, int]], upto: int, *, noted: bool) -> None:
        """Remember what was asked for by a position: values by key, and since when.

        ``noted``: that this was done is kept even if there is nothing to remember.
        """
        for key, (value, clock) in values.items():
            self.memory[key], self.touched[key] = value, clock
        self.upto, self.recalled = upto, noted


class KnownOf:
    """What is known of the person whose streams these are."""

    __slots__ = ("_told", "is_somebody", "known")

    def __init__(
        self, rules: Rules, streams: Sequence[Stream], in_segment: Callable[[str], bool]
    ) -> None:
        self.is_somebody = any(it.first_at is not None for it in streams)
        self._told = _ToldOf(rules, streams)
        alone = len(streams) == 1
        summaries = streams[0].memory if alone else _Joined(rules, streams)
        self.known = Known(summaries, self._told.read, in_segment)

    def forget(self, key: str) -> None:
        """Look at a memory anew."""
        if isinstance(self.known.summaries, _Joined):
            self.known.summaries.pop(key, None)
        self._told.forget(key)


class _ToldOf:
    """What was told of a person, read when it is first asked for."""

    __slots__ = ("_found", "_rules", "_streams")

    def __init__(self, rules: Rules, streams: Sequence[Stream]) -> None:
        self._rules, self._streams = rules, streams
        self._found: Told | None = None

    def read(self) -> Told:
        if self._found is None:
            kinds = frozenset(it.whose.kind for it in self._streams if not it.whose.guessed)
            self._found = Told(*self._shown(), kinds)
        return self._found

    def forget(self, key: str) -> None:
        if key in self._rules.told:
            self._found = None

    def _shown(self) -> tuple[Mapping[str, Any], frozenset[str]]:
        keys = {key for it in self._streams for key in it.memory.among(self._rules.told)}
        if not keys:  # as of most people whom one event is about
            return {}, frozenset()
        memories = self._rules.memories
        told = {key: memories[key].join(_sides(self._streams, key)) for key in sorted(keys)}
        tags = told.pop(TAGS, {})
        attributes = {name: word for each in told.values() for name, word in each.items()}
        state = ProfileState(attributes=attributes, tags=tags)
        shown = profile_view.attributes(state)
        return (
            {name: msgspec.json.decode(value) for name, value in shown.items()},
            frozenset(profile_view.tags(state)),
        )


class _Joined(Lazily):
    """Memories of a person, joined from their streams'."""

    def __init__(self, rules: Rules, streams: Sequence[Stream]) -> None:
        super().__init__()
        self._rules, self._streams = rules, streams

    def __missing__(self, key: str) -> Value:
        sides = _sides(self._streams, key)
        value = self[key] = self._rules.memories[key].join(sides) if sides else None
        return value


def _sides(streams: Sequence[Stream], key: str) -> Sides:
    return [(value, it.whose.demoted) for it in streams if (value := it.memory[key]) is not None]
