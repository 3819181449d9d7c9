"""The evaluation engine: updates segment memberships and rule runs from events and timers.

Inputs are processed in the order of the ledger.  Profiles are independent until they merge, so each has its
own clock: timers that are due fire before the profile's next input.

Each input, and each instant at which a timer is due, is one step: the evaluator returns what it changed,
then the rule runner takes these changes.  Only the engine knows both.  Steps are not batched, because a
rule that runs writes its history into the profile, and the next step may read it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from uuid import UUID

from domain.conditions.base import earlier
from domain.core.ledger_time import TIMER, Cause
from domain.evaluation.evaluator import Evaluator
from domain.evaluation.inputs import EngineInput
from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.membership_state import (
    EvaluatedProfile,
    MembershipInterval,
    MembershipState,
)
from domain.evaluation.profile_context import StreamState
from domain.evaluation.rule_runner import RuleRunner
from domain.evaluation.rule_runs import RuleRun, TriggerEvent
from domain.evaluation.segment_index import SegmentIndex


class EvaluationEngine:
    """Evaluates segments, then rules, for the profiles of some streams."""

    def __init__(
        self,
        index: SegmentIndex,
        streams: Mapping[UUID, StreamState],
        memberships: Mapping[UUID, MembershipState] = {},
        runs: Mapping[UUID, Sequence[RuleRun]] = {},
    ) -> None:
        """``memberships`` are by profile, ``runs`` those that are waiting, by stream."""
        self._loaded = LoadedProfiles(index, streams, memberships)
        self.streams, self.profiles = self._loaded.streams, self._loaded.by_id
        self._evaluator = Evaluator(index, self._loaded)
        self.ended_intervals: Sequence[MembershipInterval] = self._evaluator.ended_intervals
        """Memberships that ended in this batch."""

        self.rule_runner = RuleRunner(index.rule_index, self._loaded, chain(*runs.values()))
        self._has_rules = index.has_rules

    def evaluate(self, inputs: Iterable[EngineInput], until: int) -> None:
        """Processes inputs in their order, then advances time to ``until``, in microseconds."""
        self.process(inputs)
        self.advance_time_to(until)

    def process(self, inputs: Iterable[EngineInput]) -> None:
        """Processes inputs in their order, each after the timers that are due before it."""
        concerned, process = self._loaded.concerned_by, self._evaluator.process
        for engine_input in inputs:
            for profile in concerned(engine_input):
                self._advance_time(profile, engine_input.cause.at)
            changes = process(engine_input)
            if self._has_rules and changes is not None:
                self.rule_runner.on(changes)

    def advance_time_to(self, until: int) -> None:
        """Fires all timers that are due by then, each at its own time."""
        for profile in tuple(self.profiles.values()):
            self._advance_time(profile, until)

    def apply_definition(self, ordinals: Collection[int], cause: Cause) -> None:
        """Evaluates segments whose definition has changed, for all loaded profiles."""
        for profile in self.profiles.values():
            changes = self._evaluator.apply_definition(profile, ordinals, cause)
            if self._has_rules:
                self.rule_runner.on(changes)

    def broadcast(self, trigger_event: TriggerEvent) -> None:
        """Triggers rules by a system event, for all loaded profiles."""
        for profile in self.profiles.values():
            profile.mark_touched()
        self.rule_runner.broadcast(self.profiles, trigger_event)

    def segments_of(self, profile_id: UUID) -> frozenset[str]:
        """Returns the ids of the segments that a profile is in."""
        return self._loaded.segments_of(profile_id)

    def _advance_time(self, profile: EvaluatedProfile, until: int) -> None:
        while (due := self._next_timer(profile)) is not None and due <= until:
            changes = self._evaluator.fire_timer(profile, Cause(due, TIMER))
            if self._has_rules:
                self.rule_runner.on(changes)

    def _next_timer(self, profile: EvaluatedProfile) -> int | None:
        due = profile.membership.next_timer
        if self.rule_runner.has_waiting_runs:
            return earlier(due, self.rule_runner.next_timer(profile.id))
        return due
