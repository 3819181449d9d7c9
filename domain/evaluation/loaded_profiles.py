"""The profiles that one evaluation works on, with their streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import UUID

from domain.conditions.accumulators import AccumulatorValue
from domain.core.ledger_time import Cause
from domain.evaluation.inputs import EngineInput, IdentityChange
from domain.evaluation.membership_state import EvaluatedProfile, MembershipState
from domain.evaluation.profile_context import ProfileContext, StreamOwner, StreamState
from domain.evaluation.segment_index import SegmentIndex


class LoadedProfiles:
    """Profiles in memory, shared by the evaluator and the rule runner.

    Both hold this and neither holds the other: in a reference cycle each engine would stay in memory until
    the cyclic garbage collector runs, which took a third of a backfill's time (measured).
    """

    def __init__(
        self,
        index: SegmentIndex,
        streams: Mapping[UUID, StreamState],
        memberships: Mapping[UUID, MembershipState],
    ) -> None:
        self._index = index
        self.streams = dict(streams)
        self.by_id = {
            profile_id: EvaluatedProfile(profile_id, membership)
            for profile_id, membership in memberships.items()
        }
        for stream_id, stream in self.streams.items():
            self.get_or_create(stream.owner.profile_id).streams[stream_id] = stream

    def get_or_create(self, profile_id: UUID) -> EvaluatedProfile:
        """Returns a profile; one that is not loaded is created without streams."""
        profile = self.by_id.get(profile_id)
        if profile is None:
            profile = self.by_id[profile_id] = EvaluatedProfile(profile_id)
        return profile

    def concerned_by(self, engine_input: EngineInput) -> Sequence[EvaluatedProfile]:
        """Returns the loaded profiles that an input concerns, in the order of their ids."""
        if isinstance(engine_input, IdentityChange):
            owners = self.owners_of_moved(self.moved_streams(engine_input))
            return [self.by_id[profile_id] for profile_id in sorted(owners & self.by_id.keys())]
        stream = self.streams.get(engine_input.stream)
        return () if stream is None else (self.by_id[stream.owner.profile_id],)

    def moved_streams(self, identity_change: IdentityChange) -> Mapping[UUID, StreamOwner]:
        """Returns the new owners of the streams whose owner an identity change changes."""
        return {
            stream_id: owner
            for stream_id, owner in identity_change.owners.items()
            if (stream := self.streams.get(stream_id)) is None or stream.owner != owner
        }

    def owners_of_moved(self, moved: Mapping[UUID, StreamOwner]) -> set[UUID]:
        """Returns the old and the new owners of streams that move."""
        known = filter(None, map(self.streams.get, moved))
        old = {stream.owner.profile_id for stream in known}
        return old.union(owner.profile_id for owner in moved.values())

    def move_streams(
        self, moved: Mapping[UUID, StreamOwner], cause: Cause
    ) -> Mapping[UUID, StreamOwner]:
        """Gives streams to new owners; returns the previous owner of each that was known."""
        previous: dict[UUID, StreamOwner] = {}
        for stream_id, owner in moved.items():
            stream = self.streams.get(stream_id)
            if stream is None:
                stream = StreamState(owner, first_seen_position=cause.position)
                self.streams[stream_id] = stream
            else:
                previous[stream_id] = stream.owner
                del self.by_id[stream.owner.profile_id].streams[stream_id]
            stream.owner, stream.row_changed = owner, True
            self.get_or_create(owner.profile_id).streams[stream_id] = stream
        return previous

    def context_of(self, profile_id: UUID) -> ProfileContext:
        """Returns the context in which conditions on a profile are evaluated."""
        return self.get_or_create(profile_id).context(self._index)

    def segments_of(self, profile_id: UUID) -> frozenset[str]:
        """Returns the ids of the segments that a profile is in."""
        member_of = self.get_or_create(profile_id).membership.member_of
        return frozenset(self._index.order.segments[ordinal].id for ordinal in member_of)

    def streams_of(self, profile_id: UUID) -> Collection[UUID]:
        """Returns the ids of a profile's streams."""
        return self.get_or_create(profile_id).streams

    def update_accumulator(
        self,
        stream_id: UUID,
        key: str,
        change: Callable[[AccumulatorValue], AccumulatorValue],
        cause: Cause,
    ) -> None:
        """Replaces one accumulated value of a stream by the result of a function of it."""
        stream = self.streams[stream_id]
        profile = self.by_id[stream.owner.profile_id]
        profile.update_accumulators(stream, {key: change(stream.accumulators[key])}, cause)

    def affected_by_moves(
        self, before: Mapping[UUID, StreamOwner], moved: Mapping[UUID, StreamOwner]
    ) -> set[UUID]:
        """Returns the profiles that conditions can tell from what they were before streams moved.

        A stream without events adds nothing but its kind of identifier.  So a profile of many streams is not
        evaluated with all of them for each identifier that it gains or loses.
        """
        affected, kinds = set[UUID](), defaultdict[UUID, set[str]](set)
        for stream_id, owner in moved.items():
            profile_ids = {owner.profile_id, before.get(stream_id, owner).profile_id}
            if self.streams[stream_id].is_empty:
                for profile_id in profile_ids:
                    kinds[profile_id].add(owner.kind)
            else:
                affected |= profile_ids
        return affected.union(
            profile_id
            for profile_id, changed in kinds.items()
            if not all(self._has_other_of_kind(profile_id, kind, moved) for kind in changed)
        )

    def _has_other_of_kind(self, profile_id: UUID, kind: str, moved: Collection[UUID]) -> bool:
        return any(
            stream.owner.kind == kind and not stream.owner.guessed and id_ not in moved
            for id_, stream in self.by_id[profile_id].streams.items()
        )
