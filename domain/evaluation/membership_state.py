"""Evaluation state of one profile: its streams, current segments and next timer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from domain.conditions.accumulators import AccumulatorValue
from domain.conditions.base import MANY_EVENTS
from domain.evaluation.profile_context import ProfileContext, StreamState
from domain.evaluation.segment_index import SegmentIndex

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause


class MembershipInterval(NamedTuple):
    """A period in which a profile was in a segment."""

    segment: str
    profile_id: UUID
    entered: Cause | int
    """Only the instant, in microseconds, if the profile entered before this batch."""

    left: Cause


class MembershipState:
    """The segments a profile is in, and its next timer."""

    __slots__ = (
        "_initial_timer",
        "entered_in_batch",
        "has_dropped_segments",
        "member_of",
        "next_timer",
        "segments_changed",
    )

    def __init__(
        self, member_of: dict[int, int] | None = None, next_timer: int | None = None
    ) -> None:
        """Takes ownership of ``member_of``."""
        self.member_of = {} if member_of is None else member_of
        """When the profile entered its segments, in microseconds, by the segments' ordinals."""

        self.entered_in_batch: dict[int, Cause] = {}
        """Causes of those that were entered in this batch, by ordinal."""

        self.next_timer = self._initial_timer = next_timer
        """When to evaluate again if nothing happens: no later than a result changes through time alone.

        It may be too early, because an event can delay such a change and the timer is not recomputed then.
        """

        self.segments_changed = False
        """Whether the profile is in other segments than it was stored with."""

        self.has_dropped_segments = False
        """Whether it was stored with segments that do not exist any more."""

    def enter(self, ordinal: int, cause: Cause) -> None:
        """Adds the profile to a segment."""
        self.member_of[ordinal], self.entered_in_batch[ordinal] = cause.at, cause
        self.segments_changed = True

    def enter_all(self, ordinals: Sequence[int], cause: Cause) -> None:
        """Adds the profile to several segments.

        A new profile usually matches every segment that an empty profile matches.
        """
        self.member_of.update(dict.fromkeys(ordinals, cause.at))
        self.entered_in_batch.update(dict.fromkeys(ordinals, cause))
        self.segments_changed |= bool(ordinals)

    def leave(self, ordinal: int) -> Cause | int:
        """Removes the profile from a segment, and returns when it had entered.

        That is a cause if it entered in this batch, else only the instant in microseconds.
        """
        self.segments_changed, entered_at = True, self.member_of.pop(ordinal)
        return self.entered_in_batch.pop(ordinal, entered_at)

    @property
    def changed(self) -> bool:
        """Whether it differs from what is stored."""
        return self.segments_changed or self.next_timer != self._initial_timer


_number_of = attrgetter("int")


class EvaluatedProfile:
    """A profile in memory: its streams and its membership."""

    __slots__ = ("cached_context", "id", "membership", "streams", "touched")

    def __init__(self, id_: UUID, membership: MembershipState | None = None) -> None:
        self.id, self.membership = id_, membership or MembershipState()
        self.streams: dict[UUID, StreamState] = {}
        self.cached_context: ProfileContext | None = None
        """The context built from the streams; None if it was not used since they changed."""

        self.touched = False
        """Whether an input concerned the profile: if not, nothing of it has to be written."""

    def mark_touched(self) -> None:
        """Records that an input concerns the profile."""
        self.touched = True
        self.membership.segments_changed |= self.membership.has_dropped_segments

    def update_accumulators(
        self, stream: StreamState, values: Mapping[str, AccumulatorValue], cause: Cause
    ) -> None:
        """Replaces accumulated values of one of the profile's streams, by key."""
        stream.update(values, cause.at)
        if self.cached_context is not None:
            for key in values:
                self.cached_context.invalidate(key)

    def context(self, index: SegmentIndex) -> ProfileContext:
        """Returns the context of the profile's conditions, which is cached."""
        if self.cached_context is None:
            # By the number: comparing two UUID objects takes ten times as long.
            streams = [self.streams[id_] for id_ in sorted(self.streams, key=_number_of)]
            ordinal_of, member_of = index.order.ordinal_of, self.membership.member_of
            self.cached_context = ProfileContext(
                index, streams, lambda segment: ordinal_of.get(segment) in member_of
            )
        return self.cached_context

    @property
    def active_streams(self) -> int:
        """Number of the profile's streams that have events."""
        return sum(stream.first_event_at is not None for stream in self.streams.values())

    def event_count_bound(
        self, stream: StreamState, key: str, before: AccumulatorValue, after: AccumulatorValue
    ) -> int | None:
        """Returns the largest possible number of events under a key, for `Condition.can_flip_to`.

        ``before`` and ``after`` are the values of the stream that an event was added to.
        """
        others = (other.accumulators[key] for other in self.streams.values() if other is not stream)
        values = [after, *(value for value in others if value is not None)]
        if any(isinstance(value, dict) for value in values):
            return None  # future-dated events may have become due by the time of the evaluation
        if all(isinstance(value, list) for value in values):
            return sum(map(len, values))
        return 1 if before is None and len(values) == 1 else MANY_EVENTS
