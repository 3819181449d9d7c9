"""Who is in which segment, and what rules do, as events come in and as time goes by.

What happens to people is gone through in the order of the ledger.  What one does never matters to another
but by their coming to be one person, so time goes by for each by themselves: whenever it is due that an answer
changes by itself, it does so before the next that happens to them.

Asking is what costs, so it is done as seldom as can be: an event asks only those segments whose answer it
can change (`Condition.can_become`), and for each person only one instant is kept at which to ask again.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID
from weakref import proxy

from domain.conditions.base import MANY_EVENTS, earlier
from domain.core.ledger_time import TIMER, Cause
from domain.evaluation.accumulators import AccumulatorValue
from domain.evaluation.inputs import EngineInput, EventInput, IdentityChange, ListChange
from domain.evaluation.membership_state import EvaluatedProfile, MembershipState
from domain.evaluation.profile_context import ProfileContext, StreamOwner, StreamState
from domain.evaluation.rule_runner import RuleRunner
from domain.evaluation.rule_runs import RuleRun, TriggerEvent
from domain.evaluation.rule_triggers import RuleTriggers
from domain.evaluation.segment_index import AccumulatorChange, SegmentIndex

NO_SEGMENTS = frozenset[int]()


class MembershipInterval(NamedTuple):
    """A time that somebody was in a segment."""

    segment: str
    profile_id: UUID
    entered: Cause | int
    """An instant alone: before the events at hand."""

    left: Cause


class Evaluator:
    """Some streams, the persons that they are, and where those are members."""

    def __init__(
        self,
        index: SegmentIndex,
        streams: Mapping[UUID, StreamState],
        memberships: Mapping[UUID, MembershipState] = {},
        runs: Iterable[RuleRun] = (),
    ) -> None:
        self._index = index
        self.streams = dict(streams)
        self.profiles = {id_: EvaluatedProfile(id_, it) for id_, it in memberships.items()}
        self.ended_intervals: list[MembershipInterval] = []
        for id_, stream in self.streams.items():
            self._profile(stream.owner.profile_id).streams[id_] = stream
        # Held by its own parts it would stay until a search for cycles: a third of a look-back, measured.
        self_proxy = proxy(self)
        self.rule_runner = RuleRunner(index.rule_index, self_proxy, runs)
        self._rule_triggers = RuleTriggers(
            self_proxy, self.rule_runner, is_needed=bool(index.rule_index)
        )

    def process(self, inputs: Iterable[EngineInput], until: int) -> None:
        """Take the steps, in their order, and let time go by until the end."""
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
        """Let time go by: whatever is due by then happens when it is due."""
        for profile in tuple(self.profiles.values()):
            self._advance_time(profile, until)

    def apply_definition(self, ordinals: Collection[int], cause: Cause) -> None:
        """Ask everybody about segments that were decided about."""
        for profile in self.profiles.values():
            profile.mark_touched()
            self._reevaluate(profile, ordinals, cause)
            self._rule_triggers.command_applied(cause, by_definition=True)

    def broadcast(self, trigger_event: TriggerEvent) -> None:
        """Let something set off rules that concerns no single person."""
        for profile in self.profiles.values():
            profile.mark_touched()
        self._rule_triggers.broadcast(self.profiles, trigger_event)

    def context_of(self, profile_id: UUID) -> ProfileContext:
        """Return what is known of a person by now."""
        return self._profile(profile_id).context(self._index)

    def segments_of(self, profile_id: UUID) -> frozenset[str]:
        """Return the segments that a person is in by now."""
        member_of = self._profile(profile_id).membership.member_of
        return frozenset(self._index.segments[it].id for it in member_of)

    def streams_of(self, profile_id: UUID) -> Collection[UUID]:
        """Return the streams that are a person's by now."""
        return self._profile(profile_id).streams

    def update_accumulator(
        self,
        stream: UUID,
        key: str,
        change: Callable[[AccumulatorValue], AccumulatorValue],
        cause: Cause,
    ) -> None:
        """Remember something else of a stream than before."""
        it = self.streams[stream]
        _update_accumulators(
            self.profiles[it.owner.profile_id], it, {key: change(it.accumulators[key])}, cause
        )

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
        """Return whose a stream is, now that what was due by then has happened to them."""
        profile = self.profiles[stream.owner.profile_id]
        self._advance_time(profile, cause.at)
        profile.mark_touched()
        return profile

    def _on_event(self, event_input: EventInput) -> None:
        known = self.streams.get(event_input.stream)
        stream = self._create_stream(event_input) if known is None else known
        profile = self._catch_up(stream, event_input.cause)
        event, first = event_input.event, stream.first_event_at is None
        if stream.first_event_at is None or event.occurred_at < stream.first_event_at:
            stream.first_event_at, stream.row_changed = event.occurred_at, True
        previous_values = self._rule_triggers.attribute_values(profile.id, event_input.kind)
        changes = self._add_event(event_input, profile, stream)
        created = (
            first and sum(it.first_event_at is not None for it in profile.streams.values()) == 1
        )
        if created:
            profile.cached_context = None
            # Rules are told of moves in the order of the segments, whoever is asked about.
            if known is None and len(profile.streams) == 1 and not self._index.rule_index:
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
        """Remember what a message adds, and return what is different, and how much there is of it."""
        accumulators, event, is_alone = (
            stream.accumulators,
            event_input.event,
            len(profile.streams) == 1,
        )
        values, changes = dict[str, AccumulatorValue](), list[AccumulatorChange]()
        for key, add in self._index.add_functions_for(event_input.kind, event.name):
            before = accumulators[key]
            after = add(before, event)
            if after is not before and after != before:
                values[key] = after
                if is_alone and isinstance(after, list):  # so it is mostly
                    changes.append((key, len(after)))
                else:
                    changes.append((key, _event_count_bound(profile, stream, key, before, after)))
        _update_accumulators(profile, stream, values, event_input.cause)
        return changes

    def _create_stream(self, event_input: EventInput) -> StreamState:
        stream = self.streams[event_input.stream] = StreamState(
            StreamOwner(event_input.stream, event_input.owner_kind),
            first_seen_position=event_input.cause.position,
        )
        self._profile(event_input.stream).streams[event_input.stream] = stream
        return stream

    def _on_list_change(self, list_change: ListChange) -> None:
        stream = self.streams[list_change.stream]
        profile = self._catch_up(stream, list_change.cause)
        _update_accumulators(
            profile,
            stream,
            {list_change.key: [list_change.cause.position, list_change.listed]},
            list_change.cause,
        )
        self._reevaluate(profile, self._index.readers[list_change.key], list_change.cause)
        self._rule_triggers.command_applied(list_change.cause)

    def _on_identity_change(self, identity_change: IdentityChange) -> None:
        """Let streams be somebody else's: who is no more leaves, who is new or different is asked."""
        before = {
            id_: self.streams[id_].owner for id_ in identity_change.owners if id_ in self.streams
        }
        changed = {id_ for id_, whose in identity_change.owners.items() if before.get(id_) != whose}
        profile_ids = {before[it].profile_id for it in changed if it in before}
        profile_ids |= {identity_change.owners[it].profile_id for it in changed}
        for id_ in sorted(profile_ids & self.profiles.keys()):
            self._advance_time(self.profiles[id_], identity_change.cause.at)
        snapshot = self._rule_triggers.snapshot(profile_ids)
        for id_ in changed:
            owner = identity_change.owners[id_]
            stream = self.streams.setdefault(
                id_, StreamState(owner, first_seen_position=identity_change.cause.position)
            )
            if id_ in before:
                del self.profiles[before[id_].profile_id].streams[id_]
            stream.owner, stream.row_changed = owner, True
            self._profile(owner.profile_id).streams[id_] = stream
        for id_ in sorted(profile_ids):
            self.profiles[id_].mark_touched()
            self.profiles[id_].cached_context = None
            self._reevaluate_all(self.profiles[id_], identity_change.cause)
        self._rule_triggers.identity_changed(identity_change, profile_ids, snapshot)

    def _affected(
        self, profile: EvaluatedProfile, changes: Sequence[AccumulatorChange]
    ) -> list[int]:
        """Return the places of the segments whose answers may be others after an event."""
        member_of, (may_enter, may_leave) = (
            profile.membership.member_of,
            self._index.affected_by(*changes),
        )
        return [*may_enter.difference(member_of), *(it for it in may_leave if it in member_of)]

    def _evaluate_new_profile(
        self, profile: EvaluatedProfile, changes: Sequence[AccumulatorChange], cause: Cause
    ) -> None:
        """Ask about somebody of whom nothing is known but what is remembered of one event.

        What holds of anybody is not asked.
        """
        membership, (member_of, ordinals) = (
            profile.membership,
            self._index.for_new_profile(*changes),
        )
        membership.enter_all(member_of, cause)
        membership.next_timer = self._evaluate(profile, ordinals, cause)

    def _reevaluate_all(self, profile: EvaluatedProfile, cause: Cause) -> None:
        """Ask again about all segments that the person may be in, or is, and when to ask next."""
        profile.membership.next_timer = self._evaluate(
            profile, self._candidate_segments(profile), cause
        )

    def _reevaluate_time_sensitive(self, profile: EvaluatedProfile, cause: Cause) -> None:
        """Ask again about those of them whose answers the clock alone may have changed."""
        member_of, (may_enter, may_leave) = profile.membership.member_of, self._index.time_sensitive
        ordinals = self._candidate_segments(profile)
        if not any(
            it.has_future_events(self._index.profile_fact_keys) for it in profile.streams.values()
        ):
            ordinals = {
                it for it in ordinals if it in (may_leave if it in member_of else may_enter)
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
        """Ask again who is in these segments, and in those that ask about them if it changes."""
        due = self._evaluate(profile, ordinals, cause)
        profile.membership.next_timer = earlier(due, profile.membership.next_timer)

    def _evaluate(
        self, profile: EvaluatedProfile, ordinals: Collection[int], cause: Cause
    ) -> int | None:
        """Ask about these segments; return when the first of the answers may change by itself."""
        if not ordinals:
            return None
        predicates, dependents, member_of = (
            self._index.predicates,
            self._index.dependents,
            profile.membership.member_of,
        )
        context, clock, next_timer = profile.context(self._index), cause.at, None
        evaluation_input, exists, pending = (
            context.evaluation_input,
            context.exists,
            sorted(ordinals),
        )
        for ordinal in pending:
            holds, due = predicates[ordinal](evaluation_input, clock) if exists else (False, None)
            if holds != (ordinal in member_of):
                self._change_membership(profile, ordinal, cause, holds=holds)
                for dependent in dependents.get(ordinal, NO_SEGMENTS).difference(pending):
                    insort(pending, dependent)  # further on: they come after those they ask about
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

    def _profile(self, id_: UUID) -> EvaluatedProfile:
        profile = self.profiles.get(id_)
        if profile is None:
            profile = self.profiles[id_] = EvaluatedProfile(id_)
        return profile


def _event_count_bound(
    profile: EvaluatedProfile,
    stream: StreamState,
    key: str,
    before: AccumulatorValue,
    after: AccumulatorValue,
) -> int | None:
    """Return how many events there are at most under a key: see `Condition.can_become`."""
    others = (it.accumulators[key] for it in profile.streams.values() if it is not stream)
    values = [after, *(it for it in others if it is not None)]
    if any(isinstance(it, dict) for it in values):
        return None  # what is still to come may have come by the time that it is asked
    if all(isinstance(it, list) for it in values):
        return sum(map(len, values))
    return 1 if before is None and len(values) == 1 else MANY_EVENTS


def _update_accumulators(
    profile: EvaluatedProfile,
    stream: StreamState,
    values: Mapping[str, AccumulatorValue],
    cause: Cause,
) -> None:
    stream.update(values, cause.at)
    if profile.cached_context is not None:
        for key in values:
            profile.cached_context.invalidate(key)
