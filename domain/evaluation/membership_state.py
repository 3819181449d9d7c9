"""A person as it is told which segments they are in: whose streams they are, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from domain.evaluation.profile_context import ProfileContext, StreamState
from domain.evaluation.segment_index import SegmentIndex

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause


class MembershipState:
    """Which segments a person is in, and when that may change by itself."""

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
        self.member_of = {} if member_of is None else member_of
        """Places of the segments, and when the person entered each, in microseconds: what is given is taken over."""

        self.entered_in_batch: dict[int, Cause] = {}
        """Places of those among them that were entered by the events at hand."""

        self.next_timer = self._initial_timer = next_timer
        """When to ask again if nothing happens: no later than an answer changes by itself.

        It may be too early, for events put changes off, and are not asked by how much.
        """

        self.segments_changed = self.has_dropped_segments = False
        """``moved``: in other segments than before; ``stale``: kept with segments that are no more."""

    def enter(self, ordinal: int, cause: Cause) -> None:
        """Be in a segment from then on."""
        self.member_of[ordinal], self.entered_in_batch[ordinal] = cause.at, cause
        self.segments_changed = True

    def enter_all(self, ordinals: Sequence[int], cause: Cause) -> None:
        """Be in several from then on: at once, for of a stranger most segments hold that hold of whoever did nothing."""
        self.member_of.update(dict.fromkeys(ordinals, cause.at))
        self.entered_in_batch.update(dict.fromkeys(ordinals, cause))
        self.segments_changed |= bool(ordinals)

    def leave(self, ordinal: int) -> Cause | int:
        """Be in a segment no more, and return when it was entered: as a mere instant if not by the events at hand."""
        self.segments_changed, at = True, self.member_of.pop(ordinal)
        return self.entered_in_batch.pop(ordinal, at)

    @property
    def changed(self) -> bool:
        """Whether it is another than before the events at hand."""
        return self.segments_changed or self.next_timer != self._initial_timer


class EvaluatedProfile:
    """A person: whose streams they are, and where they stand."""

    __slots__ = ("cached_context", "id", "membership", "streams", "touched")

    def __init__(self, id_: UUID, membership: MembershipState | None = None) -> None:
        self.id, self.membership = id_, membership or MembershipState()
        self.streams: dict[UUID, StreamState] = {}
        self.cached_context: ProfileContext | None = None
        """What is known of them from their streams; None: it has not been asked since those changed."""

        self.touched = False
        """Whether something happened to them: else all of theirs is as it was."""

    def mark_touched(self) -> None:
        """Take note that something happens to them."""
        self.touched = True
        self.membership.segments_changed |= self.membership.has_dropped_segments

    def context(self, index: SegmentIndex) -> ProfileContext:
        """Return what is known of them."""
        if self.cached_context is None:
            streams = [it for _, it in sorted(self.streams.items())]
            ordinal_of, member_of = index.ordinal_of, self.membership.member_of
            self.cached_context = ProfileContext(
                index, streams, lambda segment: ordinal_of.get(segment) in member_of
            )
        return self.cached_context
