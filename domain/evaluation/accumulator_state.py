"""The accumulated values of one stream, how they are stored, and those of several streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from domain.conditions.accumulators import Accumulator, AccumulatorValue, Partials


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


class MergedAccumulators(LazyDict):
    """Accumulated values of a profile, merged from those of its streams."""

    def __init__(
        self,
        accumulators: Mapping[str, Accumulator],
        streams: Sequence[tuple[AccumulatorState, datetime | None]],
    ) -> None:
        """``streams`` are as `Partials`: the instant is set for demoted streams."""
        super().__init__()
        self._accumulators, self._streams = accumulators, streams

    def __missing__(self, key: str) -> AccumulatorValue:
        partials: Partials = [
            (value, demoted_at)
            for values, demoted_at in self._streams
            if (value := values[key]) is not None
        ]
        value = self[key] = self._accumulators[key].merge(partials) if partials else None
        return value
