"""The evaluator: updates segment memberships and rule runs from events and timers.

Inputs are processed in the order of the ledger.  Profiles are independent until they merge, so each has its
own clock: timers that are due fire before the profile's next input.

Evaluating conditions is the main cost, so as few as possible are evaluated: for an event only the segments
whose result it can change (`Condition.can_flip_to`), and for time only at one timer per profile.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

from domain.conditions.base import earlier
from domain.core.ledger_time import TIMER, Cause
from domain.evaluation.accumulators import AccumulatorValue
from domain.evaluation.inputs import EngineInput, EventInput, IdentityChange, ListChange
from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.membership_state import EvaluatedProfile, MembershipInterval, MembershipState
from domain.evaluation.profile_context import StreamOwner, StreamState
from domain.evaluation.rule_runner import RuleRunner
from domain.evaluation.rule_runs import RuleRun, TriggerEvent
from domain.evaluation.rule_triggers import RuleTriggers
from domain.evaluation.segment_index import AccumulatorChange, SegmentIndex

NO_SEGMENTS = frozenset[int]()


class Evaluator:
    """Evaluates segments and rules for the profiles of some streams."""

    def __init__(
        self,
        index: SegmentIndex,
        streams: Mapping[UUID, StreamState],
        memberships: Mapping[UUID, MembershipState] = {},
        runs: Iterable[RuleRun] = (),
    ) -> None:
        """``memberships`` are by profile, ``runs`` those that are waiting."""
        self._index = index
        self._loaded = LoadedProfiles(index, streams, memberships)
        self.streams, self.profiles = self._loaded.streams, self._loaded.by_id
        self.ended_intervals: list[MembershipInterval] = []
        """Memberships that ended in this batch."""

        self.rule_runner = RuleRunner(index.rule_index, self._loaded, runs)
        self._rule_triggers = RuleTriggers(
            self._loaded, self.rule_runner, is_needed=bool(index.rule_index)
        )

    def process(self, inputs: Iterable[EngineInput], until: int) -> None:
        """Processes inputs in their order, then advances time to ``until``, in microseconds."""
        for engine_input in inputs:
            match engine_input:
                case EventInput():
                    self._on_event(engine_input)
                case IdentityChange():
                    self._on_identity_change(engine_input)
                case ListChange() if engine_input.stream in self.streams:
                    self._on_list_change(engine_input)
        self.advance_time_to(until)

    def advance_time_to(self, until: int) -> None:
        """Fires all timers that are due by then, each at its own time."""
        for profile in tuple(self.profiles.values()):
            self._advance_time(profile, until)

    def apply_definition(self, ordinals: Collection[int], cause: Cause) -> None:
        """Evaluates segments whose definition has changed, for all loaded profiles."""
        for profile in self.profiles.values():
            profile.mark_touched()
            self._reevaluate(profile, ordinals, cause)
            self._rule_triggers.command_applied(cause, by_definition=True)

    def broadcast(self, trigger_event: TriggerEvent) -> None:
        """Triggers rules by a system event, for all loaded profiles."""
        for profile in self.profiles.values():
            profile.mark_touched()
        self._rule_triggers.broadcast(self.profiles, trigger_event)

    def segments_of(self, profile_id: UUID) -> frozenset[str]:
        """Returns the ids of the segments that a profile is in."""
        return self._loaded.segments_of(profile_id)

    def _advance_time(self, profile: EvaluatedProfile, until: int) -> None:
        membership, rule_runner = profile.membership, self.rule_runner
        while True:
            due = membership.next_timer
            if rule_runner.has_waiting_runs:
                due = earlier(due, rule_runner.next_timer(profile.id))
            if due is None or due > until:
                return
            cause = Cause(due, TIMER)
            profile.mark_touched()
            if membership.next_timer == due:
                self._reevaluate_time_sensitive(profile, cause)
            self._rule_triggers.time_advanced(profile.id, cause)

    def _catch_up(self, stream: StreamState, cause: Cause) -> EvaluatedProfile:
        """Returns the profile of a stream, after the timers that are due before an input."""
        profile = self.profiles[stream.owner.profile_id]
        self._advance_time(profile, cause.at)
        profile.mark_touched()
        return profile

    def _on_event(self, event_input: EventInput) -> None:
        known_stream = self.streams.get(event_input.stream)
        stream = self._create_stream(event_input) if known_stream is None else known_stream
        profile = self._catch_up(stream, event_input.cause)
        event, is_first = event_input.event, stream.first_event_at is None
        if stream.first_event_at is None or event.occurred_at < stream.first_event_at:
            stream.first_event_at, stream.row_changed = event.occurred_at, True
        previous_values = self._rule_triggers.attribute_values(profile.id, event_input.kind)
        changes = self._add_event(event_input, profile, stream)
        created = is_first and profile.active_streams == 1
        if created:
            profile.cached_context = None
            # With rules, all segments are evaluated in one pass: they trigger in the segments' order.
            if known_stream is None and len(profile.streams) == 1 and not self._index.rule_index:
                self._evaluate_new_profile(profile, changes, event_input.cause)
            else:
                self._reevaluate_all(profile, event_input.cause)
        elif changes:
            self._reevaluate(profile, self._affected(profile, changes), event_input.cause)
        self._rule_triggers.event_processed(
            event_input, profile.id, previous_values, created=created
        )

    def _add_event(
        self, event_input: EventInput, profile: EvaluatedProfile, stream: StreamState
    ) -> Sequence[AccumulatorChange]:
        """Adds an event to the accumulators that read it, and returns those that changed."""
        accumulators, event = stream.accumulators, event_input.event
        is_only_stream = len(profile.streams) == 1
        values, changes = dict[str, AccumulatorValue](), list[AccumulatorChange]()
        for key, add in self._index.add_functions_for(event_input.kind, event.name):
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
        stream = self.streams[event_input.stream] = StreamState(
            StreamOwner(event_input.stream, event_input.owner_kind),
            first_seen_position=event_input.cause.position,
        )
        self._loaded.get_or_create(event_input.stream).streams[event_input.stream] = stream
        return stream

    def _on_list_change(self, list_change: ListChange) -> None:
        stream, cause = self.streams[list_change.stream], list_change.cause
        profile = self._catch_up(stream, cause)
        profile.update_accumulators(
            stream, {list_change.key: [cause.position, list_change.listed]}, cause
        )
        self._reevaluate(profile, self._index.readers[list_change.key], cause)
        self._rule_triggers.command_applied(cause)

    def _on_identity_change(self, identity_change: IdentityChange) -> None:
        """Moves streams to their new owners, and evaluates every profile involved.

        Profiles that lost all their streams leave their segments.
        """
        cause, owners = identity_change.cause, identity_change.owners
        before = {
            stream_id: self.streams[stream_id].owner
            for stream_id in owners
            if stream_id in self.streams
        }
        changed = {
            stream_id for stream_id, owner in owners.items() if before.get(stream_id) != owner
        }
        profile_ids = {before[stream_id].profile_id for stream_id in changed & before.keys()}
        profile_ids |= {owners[stream_id].profile_id for stream_id in changed}
        for profile_id in sorted(profile_ids & self.profiles.keys()):
            self._advance_time(self.profiles[profile_id], cause.at)
        snapshot = self._rule_triggers.snapshot(profile_ids)
        for stream_id in changed:
            owner = owners[stream_id]
            stream = self.streams.setdefault(
                stream_id, StreamState(owner, first_seen_position=cause.position)
            )
            if stream_id in before:
                del self.profiles[before[stream_id].profile_id].streams[stream_id]
            stream.owner, stream.row_changed = owner, True
            self._loaded.get_or_create(owner.profile_id).streams[stream_id] = stream
        affected = self._loaded.affected_by_moves(before, {id_: owners[id_] for id_ in changed})
        for profile_id in sorted(profile_ids):
            profile = self.profiles[profile_id]
            profile.mark_touched()
            profile.cached_context = None
            if profile_id in affected:
                self._reevaluate_all(profile, cause)
        self._rule_triggers.identity_changed(identity_change, profile_ids, snapshot)

    def _affected(
        self, profile: EvaluatedProfile, changes: Sequence[AccumulatorChange]
    ) -> list[int]:
        """Returns the segments whose result can differ for a profile after an event."""
        member_of = profile.membership.member_of
        may_enter, may_leave = self._index.affected_by(*changes)
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
        member_of, ordinals = self._index.for_new_profile(*changes)
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
        predicates, dependents = self._index.predicates, self._index.dependents
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
        membership, segment = profile.membership, self._index.segments[ordinal].id
        if holds:
            membership.enter(ordinal, cause)
        else:
            self.ended_intervals.append(
                MembershipInterval(segment, profile.id, membership.leave(ordinal), cause)
            )
        self._rule_triggers.membership_changed(profile.id, segment, entered=holds)
