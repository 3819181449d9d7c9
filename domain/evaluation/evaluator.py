"""The evaluator: updates segment memberships, and returns what changed.

It processes one input, or one timer, at a time.  Evaluating conditions is the main cost, so as few as
possible are evaluated: for an event only the segments whose result it can change (`Condition.can_flip_to`),
and for time only at one timer per profile.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from domain.conditions.accumulators import AccumulatorValue
from domain.conditions.base import earlier
from domain.core.ledger_time import Cause
from domain.evaluation.changes import (
    Changes,
    CommandChanges,
    EventChanges,
    IdentitySnapshot,
    MembershipChange,
    MergeChanges,
    TimerChanges,
)
from domain.evaluation.impact import AccumulatorChange
from domain.evaluation.inputs import EngineInput, EventInput, IdentityChange, ListChange
from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.membership_state import EvaluatedProfile, MembershipInterval
from domain.evaluation.profile_context import StreamOwner, StreamState
from domain.evaluation.rule_index import AttributeValues
from domain.evaluation.rule_triggers import IDENTIFY
from domain.evaluation.segment_index import SegmentIndex

NO_SEGMENTS = frozenset[int]()
NO_VALUES: AttributeValues = {}
NO_SNAPSHOT = IdentitySnapshot({}, {}, {})


class Evaluator:
    """Evaluates segments for loaded profiles.  It knows no runs of rules."""

    def __init__(self, index: SegmentIndex, profiles: LoadedProfiles) -> None:
        self._index, self._loaded = index, profiles
        self.ended_intervals: list[MembershipInterval] = []
        """Memberships that ended in this batch."""

        self._reports_changes = index.has_rules
        """Without rules nothing reads what changed, so no membership change is collected."""

        self._memberships: list[MembershipChange] = []
        """Membership changes of the current step."""

    def process(self, engine_input: EngineInput) -> Changes | None:
        """Processes an input; returns what it changed, or None if it concerns no loaded stream.

        Timers that are due by then have fired already: see `fire_timer`.
        """
        match engine_input:
            case EventInput():
                return self._on_event(engine_input)
            case IdentityChange():
                return self._on_identity_change(engine_input)
            case ListChange():
                return self._on_list_change(engine_input)

    def fire_timer(self, profile: EvaluatedProfile, cause: Cause) -> TimerChanges:
        """Evaluates what time alone changes, if a segment's timer is due at exactly this time."""
        profile.mark_touched()
        if profile.membership.next_timer == cause.at:
            self._reevaluate_time_sensitive(profile, cause)
        return TimerChanges(profile.id, cause, self._take_memberships())

    def apply_definition(
        self, profile: EvaluatedProfile, ordinals: Collection[int], cause: Cause
    ) -> CommandChanges:
        """Evaluates segments whose definition has changed."""
        profile.mark_touched()
        self._reevaluate(profile, ordinals, cause)
        return CommandChanges(cause, self._take_memberships(), by_definition=True)

    def _take_memberships(self) -> Sequence[MembershipChange]:
        if not self._memberships:
            return ()
        memberships, self._memberships = self._memberships, []
        return memberships

    def _on_event(self, event_input: EventInput) -> EventChanges | None:
        known_stream = self._loaded.streams.get(event_input.stream)
        stream = self._create_stream(event_input) if known_stream is None else known_stream
        profile = self._loaded.by_id[stream.owner.profile_id]
        profile.mark_touched()
        event, is_first = event_input.event, stream.first_event_at is None
        if stream.first_event_at is None or event.occurred_at < stream.first_event_at:
            stream.first_event_at, stream.row_changed = event.occurred_at, True
        reports = self._reports_changes
        previous_values = (
            self._observed_values(profile)
            if reports and event_input.kind == IDENTIFY
            else NO_VALUES
        )
        changes = self._add_event(event_input, profile, stream)
        created = is_first and profile.active_streams == 1
        if created:
            profile.cached_context = None
            # With rules, all segments are evaluated in one pass: they trigger in the segments' order.
            if known_stream is None and len(profile.streams) == 1 and not reports:
                self._evaluate_new_profile(profile, changes, event_input.cause)
            else:
                self._reevaluate_all(profile, event_input.cause)
        elif changes:
            self._reevaluate(profile, self._affected(profile, changes), event_input.cause)
        if not reports:
            return None
        return EventChanges(
            event_input, profile.id, created, previous_values, self._take_memberships()
        )

    def _add_event(
        self, event_input: EventInput, profile: EvaluatedProfile, stream: StreamState
    ) -> Sequence[AccumulatorChange]:
        """Adds an event to the accumulators that read it, and returns those that changed."""
        accumulators, event = stream.accumulators, event_input.event
        is_only_stream = len(profile.streams) == 1
        values, changes = dict[str, AccumulatorValue](), list[AccumulatorChange]()
        for key, add in self._index.message_readers.add_functions_for(event_input.kind, event.name):
            before = accumulators[key]
            after = add(before, event)
            if after is not before and after != before:
                values[key] = after
                if is_only_stream and isinstance(after, list):  # the usual case
                    changes.append((key, len(after)))
                else:
                    changes.append((key, profile.event_count_bound(stream, key, before, after)))
        profile.update_accumulators(stream, values, event_input.cause)
        return changes

    def _create_stream(self, event_input: EventInput) -> StreamState:
        stream = self._loaded.streams[event_input.stream] = StreamState(
            StreamOwner(event_input.stream, event_input.owner_kind),
            first_seen_position=event_input.cause.position,
        )
        self._loaded.get_or_create(event_input.stream).streams[event_input.stream] = stream
        return stream

    def _on_list_change(self, list_change: ListChange) -> CommandChanges | None:
        stream, cause = self._loaded.streams.get(list_change.stream), list_change.cause
        if stream is None:
            return None
        profile = self._loaded.by_id[stream.owner.profile_id]
        profile.mark_touched()
        profile.update_accumulators(
            stream, {list_change.key: [cause.position, list_change.listed]}, cause
        )
        self._reevaluate(profile, self._index.readers[list_change.key], cause)
        return CommandChanges(cause, self._take_memberships())

    def _on_identity_change(self, identity_change: IdentityChange) -> MergeChanges:
        """Moves streams to their new owners, and evaluates every profile involved.

        Profiles that lost all their streams leave their segments.
        """
        cause = identity_change.cause
        moved = self._loaded.moved_streams(identity_change)
        profile_ids = sorted(self._loaded.owners_of_moved(moved))
        before = self._snapshot(profile_ids)
        previous = self._loaded.move_streams(moved, cause)
        affected = self._loaded.affected_by_moves(previous, moved)
        for profile_id in profile_ids:
            profile = self._loaded.by_id[profile_id]
            profile.mark_touched()
            profile.cached_context = None
            if profile_id in affected:
                self._reevaluate_all(profile, cause)
        return MergeChanges(identity_change, profile_ids, before, self._take_memberships())

    def _snapshot(self, profile_ids: Iterable[UUID]) -> IdentitySnapshot:
        """Returns the state that rules compare with after an identity change."""
        if not self._reports_changes:
            return NO_SNAPSHOT
        involved = [self._loaded.get_or_create(profile_id) for profile_id in profile_ids]
        existing = [profile for profile in involved if profile.context(self._index).exists]
        return IdentitySnapshot(
            {stream: profile.id for profile in existing for stream in profile.streams},
            {profile.id: self._observed_values(profile) for profile in involved},
            {profile.id: self._loaded.segments_of(profile.id) for profile in involved},
        )

    def _observed_values(self, profile: EvaluatedProfile) -> AttributeValues:
        rule_index = self._index.rule_index
        if not rule_index.attribute_triggered:
            return NO_VALUES
        return rule_index.observed_values(profile.context(self._index).evaluation_input)

    def _affected(
        self, profile: EvaluatedProfile, changes: Sequence[AccumulatorChange]
    ) -> list[int]:
        """Returns the segments whose result can differ for a profile after an event."""
        member_of = profile.membership.member_of
        may_enter, may_leave = self._index.impact.affected_by(*changes)
        return [
            *may_enter.difference(member_of),
            *(ordinal for ordinal in may_leave if ordinal in member_of),
        ]

    def _evaluate_new_profile(
        self, profile: EvaluatedProfile, changes: Sequence[AccumulatorChange], cause: Cause
    ) -> None:
        """Evaluates a profile of which only one event is known.

        Segments that match every new profile are entered without evaluation.
        """
        membership = profile.membership
        member_of, ordinals = self._index.impact.for_new_profile(*changes)
        membership.enter_all(member_of, cause)
        membership.next_timer = self._evaluate(profile, ordinals, cause)

    def _reevaluate_all(self, profile: EvaluatedProfile, cause: Cause) -> None:
        """Evaluates all segments that the profile is in or may be in, and resets its timer."""
        profile.membership.next_timer = self._evaluate(
            profile, self._candidate_segments(profile), cause
        )

    def _reevaluate_time_sensitive(self, profile: EvaluatedProfile, cause: Cause) -> None:
        """Evaluates those whose result can change by time alone, and resets the timer."""
        member_of, (may_enter, may_leave) = profile.membership.member_of, self._index.time_sensitive
        ordinals = self._candidate_segments(profile)
        fact_keys = self._index.profile_fact_keys
        if not any(stream.has_future_events(fact_keys) for stream in profile.streams.values()):
            ordinals = {
                ordinal
                for ordinal in ordinals
                if ordinal in (may_leave if ordinal in member_of else may_enter)
            }
        profile.membership.next_timer = self._evaluate(profile, ordinals, cause)

    def _candidate_segments(self, profile: EvaluatedProfile) -> set[int]:
        ordinals = {*self._index.always_evaluate, *profile.membership.member_of}
        for stream in profile.streams.values():
            for key in stream.accumulators.nonempty_keys():
                ordinals |= self._index.readers[key]
        return ordinals

    def _reevaluate(
        self, profile: EvaluatedProfile, ordinals: Collection[int], cause: Cause
    ) -> None:
        """Evaluates these segments, and the dependents of those whose result changes."""
        due = self._evaluate(profile, ordinals, cause)
        profile.membership.next_timer = earlier(due, profile.membership.next_timer)

    def _evaluate(
        self, profile: EvaluatedProfile, ordinals: Collection[int], cause: Cause
    ) -> int | None:
        """Evaluates segments; returns when the first of the results may change by time alone."""
        if not ordinals:
            return None
        predicates, dependents = self._index.order.predicates, self._index.order.dependents
        member_of, context = profile.membership.member_of, profile.context(self._index)
        evaluation_input, exists = context.evaluation_input, context.exists
        clock, next_timer, pending = cause.at, None, sorted(ordinals)
        for ordinal in pending:
            holds, due = predicates[ordinal](evaluation_input, clock) if exists else (False, None)
            if holds != (ordinal in member_of):
                self._change_membership(profile, ordinal, cause, holds=holds)
                for dependent in dependents.get(ordinal, NO_SEGMENTS).difference(pending):
                    insort(pending, dependent)  # later in the list: dependents have higher ordinals
            if due is not None and (next_timer is None or due < next_timer):
                next_timer = due
        return next_timer

    def _change_membership(
        self, profile: EvaluatedProfile, ordinal: int, cause: Cause, *, holds: bool
    ) -> None:
        membership, segment = profile.membership, self._index.order.segments[ordinal].id
        if holds:
            membership.enter(ordinal, cause)
        else:
            self.ended_intervals.append(
                MembershipInterval(segment, profile.id, membership.leave(ordinal), cause)
            )
        if self._reports_changes:
            self._memberships.append(MembershipChange(profile.id, segment, holds))
