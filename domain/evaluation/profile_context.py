"""The context in which conditions are evaluated: a profile's merged accumulators."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import EvaluationInput, ProfileFacts
from domain.conditions.accumulators import AccumulatorValue
from domain.core.tags import TAGS_TRAIT
from domain.evaluation.accumulator_state import AccumulatorState, MergedAccumulators
from domain.evaluation.segment_index import SegmentIndex
from domain.profiles import view as profile_view
from domain.profiles.state import ProfileState


class StreamOwner(NamedTuple):
    """The profile that a stream belongs to."""

    profile_id: UUID
    kind: str
    """Kind of the stream's identifier."""

    guessed: bool = False
    """Whether an alias only assumed that kind of identifier: conditions do not see it."""

    demoted_at: datetime | None = None
    """Since when the stream only fills gaps: see `domain.identity.resolution.Component`."""


class StreamState:
    """Evaluation state of one stream."""

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
        """Backfill watermark: accumulators registered up to this position contain the stream's history.

        Before ``first_seen_position`` the stream has no history.
        """

        self.watermark_moved = False
        """Whether the watermark must be saved even if no accumulator changed."""

        self.row_changed = False
        """Whether anything but the accumulators differs from what is stored."""

        self.dirty: dict[str, int] = {}
        """When accumulators changed, in microseconds, by their keys."""

    @property
    def is_empty(self) -> bool:
        """Whether it has neither events nor anything else that was accumulated."""
        return self.first_event_at is None and not self.accumulators.nonempty_keys()

    def update(self, values: Mapping[str, AccumulatorValue], clock: int) -> None:
        """Replaces some accumulated values."""
        self.accumulators.update(values)
        self.dirty.update(dict.fromkeys(values, clock))

    def has_future_events(self, profile_fact_keys: Collection[str]) -> bool:
        """Returns whether an accumulator contains a future-dated event; profile facts have no time."""
        accumulators = self.accumulators
        return any(
            isinstance(accumulators[key], dict)
            for key in accumulators.nonempty_keys()
            if key not in profile_fact_keys
        )

    def apply_backfill(
        self,
        values: Mapping[str, tuple[AccumulatorValue, int]],
        backfilled_to: int,
        *,
        save_watermark: bool,
    ) -> None:
        """Sets backfilled values, each with its clock, and moves the watermark.

        ``save_watermark``: the new watermark is saved even if there are no values.
        """
        for key, (value, clock) in values.items():
            self.accumulators[key], self.dirty[key] = value, clock
        self.backfilled_to, self.watermark_moved = backfilled_to, save_watermark


class ProfileContext:
    """The input of conditions for the profile that owns these streams."""

    __slots__ = ("_facts", "evaluation_input", "exists")

    def __init__(
        self, index: SegmentIndex, streams: Sequence[StreamState], in_segment: Callable[[str], bool]
    ) -> None:
        self.exists = any(stream.first_event_at is not None for stream in streams)
        self._facts = _LazyProfileFacts(index, streams)
        summaries = (
            streams[0].accumulators
            if len(streams) == 1
            else MergedAccumulators(index.accumulators, _accumulated(streams))
        )
        self.evaluation_input = EvaluationInput(summaries, self._facts.read, in_segment)

    def invalidate(self, key: str) -> None:
        """Drops what was derived from an accumulator that has changed."""
        if isinstance(self.evaluation_input.summaries, MergedAccumulators):
            self.evaluation_input.summaries.pop(key, None)
        self._facts.invalidate(key)


class _LazyProfileFacts:
    """Attributes, tags and identifier kinds of a profile, computed at their first use."""

    __slots__ = ("_facts", "_index", "_streams")

    def __init__(self, index: SegmentIndex, streams: Sequence[StreamState]) -> None:
        self._index, self._streams = index, streams
        self._facts: ProfileFacts | None = None

    def read(self) -> ProfileFacts:
        if self._facts is None:
            kinds = frozenset(
                stream.owner.kind for stream in self._streams if not stream.owner.guessed
            )
            self._facts = ProfileFacts(*self._attributes_and_tags(), kinds)
        return self._facts

    def invalidate(self, key: str) -> None:
        if key in self._index.profile_fact_keys:
            self._facts = None

    def _attributes_and_tags(self) -> tuple[Mapping[str, Any], frozenset[str]]:
        keys = {
            key
            for stream in self._streams
            for key in stream.accumulators.nonempty_among(self._index.profile_fact_keys)
        }
        if not keys:  # as for most profiles of one event
            return {}, frozenset()
        values = MergedAccumulators(self._index.accumulators, _accumulated(self._streams))
        merged = {key: values[key] for key in sorted(keys)}
        tags = merged.pop(TAGS_TRAIT, {})
        registers = {
            name: register
            for registers_of_key in merged.values()
            for name, register in registers_of_key.items()
        }
        state = ProfileState(attributes=registers, tags=tags)
        attributes = profile_view.attributes(state)
        return (
            {name: msgspec.json.decode(value) for name, value in attributes.items()},
            frozenset(profile_view.tags(state)),
        )


def _accumulated(streams: Sequence[StreamState]) -> list[tuple[AccumulatorState, datetime | None]]:
    return [(stream.accumulators, stream.owner.demoted_at) for stream in streams]
