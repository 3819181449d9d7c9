"""What is known of a person from the memories of their streams, joined when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import EvaluationInput, ProfileFacts
from domain.evaluation.accumulators import AccumulatorState, AccumulatorValue, LazyDict, Partials
from domain.evaluation.segment_index import SegmentIndex
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState
from domain.profiles.view import TAGS_TRAIT


class StreamOwner(NamedTuple):
    """Which person a stream is of."""

    profile_id: UUID
    kind: str
    """Kind of the identifier that owns it."""

    guessed: bool = False
    demoted_at: datetime | None = None
    """See `domain.identity.resolution.Component`."""


class StreamState:
    """One stream, and what is remembered of it."""

    __slots__ = (
        "accumulators",
        "backfilled_to",
        "dirty",
        "first_event_at",
        "first_seen_position",
        "owner",
        "row_changed",
        "watermark_moved",
    )

    def __init__(
        self,
        owner: StreamOwner,
        first_event_at: int | None = None,
        accumulators: AccumulatorState | None = None,
        first_seen_position: int = 0,
    ) -> None:
        self.owner, self.first_event_at, self.first_seen_position = (
            owner,
            first_event_at,
            first_seen_position,
        )
        self.accumulators = AccumulatorState() if accumulators is None else accumulators
        self.backfilled_to = first_seen_position
        """Position up to which it is remembered, whatever was asked for by then.

        There is nothing to remember from before it was first met, at ``met_by``.
        """

        self.watermark_moved = False
        """Whether it is to be kept that this is further than before, even if nothing is remembered."""

        self.row_changed = False
        """Whether anything but the memory is different from before."""

        self.dirty: dict[str, int] = {}
        """Keys of what is remembered that is different from before, and when that came."""

    def update(self, values: Mapping[str, AccumulatorValue], clock: int) -> None:
        """Remember something else under some keys from the clock on."""
        self.accumulators.update(values)
        self.dirty.update(dict.fromkeys(values, clock))

    def has_future_events(self, profile_fact_keys: Collection[str]) -> bool:
        """Whether it is remembered of an event whose time is still to come; what was ``told`` has no time."""
        accumulators = self.accumulators
        return any(
            isinstance(accumulators[it], dict)
            for it in accumulators.nonempty_keys()
            if it not in profile_fact_keys
        )

    def apply_backfill(
        self,
        values: Mapping[str, tuple[AccumulatorValue, int]],
        backfilled_to: int,
        *,
        save_watermark: bool,
    ) -> None:
        """Remember what was asked for by a position: values by key, and since when.

        ``noted``: that this was done is kept even if there is nothing to remember.
        """
        for key, (value, clock) in values.items():
            self.accumulators[key], self.dirty[key] = value, clock
        self.backfilled_to, self.watermark_moved = backfilled_to, save_watermark


class ProfileContext:
    """What is known of the person whose streams these are."""

    __slots__ = ("_facts", "evaluation_input", "exists")

    def __init__(
        self, index: SegmentIndex, streams: Sequence[StreamState], in_segment: Callable[[str], bool]
    ) -> None:
        self.exists = any(it.first_event_at is not None for it in streams)
        self._facts = _LazyProfileFacts(index, streams)
        alone = len(streams) == 1
        summaries = streams[0].accumulators if alone else _MergedAccumulators(index, streams)
        self.evaluation_input = EvaluationInput(summaries, self._facts.read, in_segment)

    def invalidate(self, key: str) -> None:
        """Look at a memory anew."""
        if isinstance(self.evaluation_input.summaries, _MergedAccumulators):
            self.evaluation_input.summaries.pop(key, None)
        self._facts.invalidate(key)


class _LazyProfileFacts:
    """What was told of a person, read when it is first asked for."""

    __slots__ = ("_facts", "_index", "_streams")

    def __init__(self, index: SegmentIndex, streams: Sequence[StreamState]) -> None:
        self._index, self._streams = index, streams
        self._facts: ProfileFacts | None = None

    def read(self) -> ProfileFacts:
        if self._facts is None:
            kinds = frozenset(it.owner.kind for it in self._streams if not it.owner.guessed)
            self._facts = ProfileFacts(*self._attributes_and_tags(), kinds)
        return self._facts

    def invalidate(self, key: str) -> None:
        if key in self._index.profile_fact_keys:
            self._facts = None

    def _attributes_and_tags(self) -> tuple[Mapping[str, Any], frozenset[str]]:
        keys = {
            key
            for it in self._streams
            for key in it.accumulators.nonempty_among(self._index.profile_fact_keys)
        }
        if not keys:  # as of most people whom one event is about
            return {}, frozenset()
        accumulators = self._index.accumulators
        merged = {
            key: accumulators[key].merge(_partials(self._streams, key)) for key in sorted(keys)
        }
        tags = merged.pop(TAGS_TRAIT, {})
        attributes = {name: word for each in merged.values() for name, word in each.items()}
        state = ProfileState(attributes=attributes, tags=tags)
        shown = profile_view.attributes(state)
        return (
            {name: msgspec.json.decode(value) for name, value in shown.items()},
            frozenset(profile_view.tags(state)),
        )


class _MergedAccumulators(LazyDict):
    """Memories of a person, joined from their streams'."""

    def __init__(self, index: SegmentIndex, streams: Sequence[StreamState]) -> None:
        super().__init__()
        self._index, self._streams = index, streams

    def __missing__(self, key: str) -> AccumulatorValue:
        partials = _partials(self._streams, key)
        value = self[key] = self._index.accumulators[key].merge(partials) if partials else None
        return value


def _partials(streams: Sequence[StreamState], key: str) -> Partials:
    return [
        (value, it.owner.demoted_at)
        for it in streams
        if (value := it.accumulators[key]) is not None
    ]
