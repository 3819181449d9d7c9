"""Which segments an event can affect, by the accumulators that it changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from domain.conditions import EvaluationInput, referenced_segments
from domain.evaluation.segment_order import SegmentOrder

AccumulatorChange = tuple[str, int | None]
"""Key of an accumulator that an event changed, and how many events it has now: see `Condition.can_flip_to`."""


class AffectedSegments(NamedTuple):
    """Ordinals of the segments that a profile may enter, and of those that it may leave."""

    may_enter: frozenset[int]
    may_leave: frozenset[int]


class NewProfileSegments(NamedTuple):
    """Segments of a new profile, after its first event."""

    member_of: Sequence[int]
    """Sorted ordinals of those that every new profile enters: they need no evaluation."""

    to_evaluate: frozenset[int]
    """Ordinals of those that depend on the event."""


class EmptyProfileSegments(NamedTuple):
    """Segments of a profile without any accumulated value."""

    matching: frozenset[int]
    """Ordinals of those that match it at any clock."""

    undecided: frozenset[int]
    """Ordinals of those that might."""


def evaluate_empty_profile(order: SegmentOrder) -> EmptyProfileSegments:
    """Returns the segments that match an empty profile, and those that might."""
    matching, undecided = set[str](), set[str]()
    empty_profile = EvaluationInput({}, in_segment=matching.__contains__)
    for segment, predicate in zip(order.segments, order.predicates, strict=True):
        holds, changes_at = predicate(empty_profile, 0)
        if (
            changes_at is not None
            or referenced_segments(segment.condition) & undecided
            or segment.condition.reads_identifiers
        ):
            undecided.add(segment.id)
        elif holds:
            matching.add(segment.id)
    return EmptyProfileSegments(
        *(frozenset(map(order.ordinal_of.__getitem__, ids)) for ids in (matching, undecided))
    )


def time_sensitive_segments(order: SegmentOrder) -> AffectedSegments:
    """Returns the segments that time alone can affect, ignoring future-dated events."""
    flips = [segment.condition.flips_with_time for segment in order.segments]
    return AffectedSegments(
        *(
            frozenset(ordinal for ordinal, results in enumerate(flips) if result in results)
            for result in (True, False)
        )
    )


class ImpactCache:
    """The segments that changes of accumulators can affect, remembered by the changes."""

    def __init__(
        self,
        order: SegmentOrder,
        readers: Mapping[str, frozenset[int]],
        empty_profile: EmptyProfileSegments,
    ) -> None:
        """``readers`` are the ordinals of the segments that read an accumulator, by its key."""
        self._order, self._readers = order, readers
        self._undecided = order.with_dependents(empty_profile.undecided)
        self._matching = empty_profile.matching - self._undecided
        self.affected_by = lru_cache(maxsize=65_536)(self._affected_by)
        """Returns the segments whose result can change after one event changed accumulators."""

        self.for_new_profile = lru_cache(maxsize=65_536)(self._for_new_profile)
        """Returns the segments of a profile whose first event changed these accumulators."""

    def _affected_by(self, *changes: AccumulatorChange) -> AffectedSegments:
        return AffectedSegments(
            *(
                frozenset(
                    ordinal
                    for key, size in changes
                    for ordinal in self._readers[key]
                    if self._order.segments[ordinal].condition.can_flip_to(result, key, size)
                )
                for result in (True, False)
            )
        )

    def _for_new_profile(self, *changes: AccumulatorChange) -> NewProfileSegments:
        may_enter, may_leave = self._affected_by(*changes)
        to_evaluate = self._order.with_dependents(
            (may_enter - self._matching) | (may_leave & self._matching)
        )
        return NewProfileSegments(
            sorted(self._matching - to_evaluate), to_evaluate | self._undecided
        )
