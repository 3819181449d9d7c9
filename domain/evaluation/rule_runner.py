"""Runs rules on the changes of a step: starts runs, resumes them, records why each run ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from uuid import UUID

from domain.core.time import parse_duration
from domain.evaluation.changes import Changes, EventChanges, TimerChanges
from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.rule_index import ActiveRule, RuleIndex
from domain.evaluation.rule_runs import (
    DELAY,
    DELAYED,
    ELSE,
    EVENT,
    IMMEDIATE,
    THEN,
    RuleHistory,
    RuleRun,
    RunOutcome,
    TriggerContext,
    TriggerEvent,
    cause_key,
    decode_context,
    encode_context,
    history_key,
)
from domain.evaluation.rule_triggers import RuleTriggers, event_trigger
from domain.evaluation.waiting_runs import WaitingRuns
from domain.rules.definition import MAX_CAP_TIMES, MAX_RULE_DEPTH, OncePer, RuleDefinition

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause

MAX_WAITING_RUNS = 1_000
"""Maximum concurrent waiting runs per profile and rule."""


class RuleRunner:
    """The runs of rules of the loaded profiles."""

    def __init__(
        self, rule_index: RuleIndex, profiles: LoadedProfiles, waiting: Iterable[RuleRun] = ()
    ) -> None:
        self._rule_index, self._profiles = rule_index, profiles
        self._triggers = RuleTriggers(rule_index, profiles)
        self._waiting = WaitingRuns(profiles, waiting)
        self.paused = False
        """Whether triggers are ignored; waiting runs still resume."""

        self.changed_runs: dict[tuple[str, int, str], RuleRun] = {}
        """Runs that started or changed in this batch."""

    @property
    def has_waiting_runs(self) -> bool:
        """Whether any loaded profile has a waiting run."""
        return bool(self._waiting.by_stream)

    def next_timer(self, profile_id: UUID) -> int | None:
        """Returns when the first of a profile's waiting runs is due."""
        runs = self._waiting.of_profile(profile_id)
        return min((run.due for run in runs if run.due is not None), default=None)

    def on(self, changes: Changes) -> None:
        """Runs rules for what one step changed: what waits for an event first, timers last."""
        if isinstance(changes, EventChanges):
            self._resume_awaiting(changes)
        if not self.paused:
            for profile_id, stream, trigger_event in self._triggers.of(changes):
                self._trigger(profile_id, stream, trigger_event)
        if isinstance(changes, TimerChanges):
            self._resume_due(changes.profile_id, changes.cause)

    def broadcast(self, profile_ids: Iterable[UUID], trigger_event: TriggerEvent) -> None:
        """Triggers rules by a system event, for each of the profiles."""
        if self.paused:
            return
        for profile_id in sorted(profile_ids):
            if self._profiles.context_of(profile_id).exists:
                self._trigger(profile_id, profile_id, trigger_event)

    def _resume_due(self, profile_id: UUID, cause: Cause) -> None:
        """Resumes the runs of a profile that are due."""
        for run in self._waiting.of_profile(profile_id):
            if run.due is not None and run.due <= cause.at:
                self._resume(run._replace(profile_id=profile_id), cause)

    def _resume_awaiting(self, changes: EventChanges) -> None:
        """Resumes the runs of a profile that wait for an event."""
        profile_id, event_input = changes.profile_id, changes.event_input
        if not self._rule_index.awaits(event_input.event.name):
            return
        trigger_event = event_trigger(event_input)
        for run in self._waiting.of_profile(profile_id):
            definition = self._rule_index.definitions[run.rule, run.version]
            if (
                run.reason != EVENT
                or definition.wait is None
                or _is_too_old(definition, trigger_event)
            ):
                continue
            if not definition.wait.accepts(trigger_event.subject):
                continue
            context = decode_context(run.context).document
            if definition.wait.is_satisfied_by(trigger_event.document, context):
                self._finish_wait(
                    run._replace(profile_id=profile_id), definition, THEN, trigger_event.cause
                )

    def _trigger(self, profile_id: UUID, stream: UUID, trigger_event: TriggerEvent) -> None:
        """Starts a run of each rule that an event triggers; ``stream`` is what the runs follow."""
        for rule in self._rule_index.triggered_by(trigger_event.kind, trigger_event.subject):
            if rule.definition.matches(trigger_event.document):
                self._start_run(rule, profile_id, stream, trigger_event)

    def _start_run(
        self, rule: ActiveRule, profile_id: UUID, stream: UUID, trigger_event: TriggerEvent
    ) -> None:
        cause = trigger_event.cause
        run = RuleRun(
            rule.rule,
            rule.version,
            cause_key(trigger_event, profile_id),
            stream,
            profile_id,
            cause,
            "waiting",
            "",
            cause,
            context=encode_context(TriggerContext.from_trigger_event(trigger_event)),
        )
        reasons = tuple(self._suppression_reasons(rule, run, trigger_event))
        if trigger_event.kind == "system_event" and "audience" in reasons:
            return  # a system event reaches every profile; a run is recorded only for its audience
        if reasons:
            self._finish(run, "suppressed", reasons[0], cause)
            return
        if rule.definition.options.records_entry:
            self._record_history(run, cause, entered=True)
        if rule.definition.options.delay is not None:
            self._suspend(run, DELAY, rule.definition.options.delay, cause)
        else:
            self._wait_or_fire(run, rule.definition, IMMEDIATE, cause)

    def _suppression_reasons(
        self, rule: ActiveRule, run: RuleRun, trigger_event: TriggerEvent
    ) -> Iterator[str]:
        """Yields all reasons to suppress a run: the first is the one that is recorded."""
        definition, clock = rule.definition, trigger_event.cause.at
        audience = definition.audience
        if trigger_event.by_definition:
            yield "by_definition"
        if (
            trigger_event.by_merge
            and definition.trigger.MERGE_SENSITIVE
            and definition.options.on_merge == "never"
        ):
            yield "by_merge"
        if _is_too_old(definition, trigger_event):
            yield "too_old"
        if trigger_event.depth >= MAX_RULE_DEPTH:
            yield "too_deep"
        if audience is not None:
            evaluation_input = self._profiles.context_of(run.profile_id).evaluation_input
            if not audience.holds(evaluation_input, clock, trigger_event.document):
                yield "audience"
        if not self._may_reenter(definition, run, clock):
            yield "reentry"
        if self._waiting.count(run.profile_id, run.rule) >= MAX_WAITING_RUNS:
            yield "too_many"

    def _may_reenter(self, definition: RuleDefinition, run: RuleRun, clock: int) -> bool:
        reentry = definition.options.reentry
        if reentry == "always":
            return True
        if reentry == "not_while_waiting":
            return self._waiting.count(run.profile_id, run.rule) == 0
        last_entered_at = self._history(run).last_entered_at
        if last_entered_at is None:
            return True
        return isinstance(reentry, OncePer) and clock - last_entered_at >= parse_duration(
            reentry.once_per
        )

    def _resume(self, run: RuleRun, cause: Cause) -> None:
        definition = self._rule_index.definitions[run.rule, run.version]
        if run.reason == DELAY:
            self._wait_or_fire(run, definition, DELAYED, cause)
        else:
            self._finish_wait(run, definition, ELSE, cause)

    def _wait_or_fire(
        self, run: RuleRun, definition: RuleDefinition, branch: str, cause: Cause
    ) -> None:
        """Waits for an event if the rule has a `wait`, else fires."""
        if definition.wait is not None:
            self._suspend(run, EVENT, definition.wait.timeout, cause)
        else:
            self._fire(run, definition, branch, cause)

    def _finish_wait(
        self, run: RuleRun, definition: RuleDefinition, branch: str, cause: Cause
    ) -> None:
        if definition.actions(branch):
            self._fire(run, definition, branch, cause)
        else:
            self._finish(run, "suppressed", "event_came" if branch == THEN else "timed_out", cause)

    def _fire(self, run: RuleRun, definition: RuleDefinition, branch: str, cause: Cause) -> None:
        cap = definition.options.cap
        if cap is not None:
            since = cause.at - parse_duration(cap.per)
            if sum(fired_at > since for fired_at in self._history(run).fired_at) >= cap.times:
                self._finish(run, "suppressed", "cap", cause)
                return
            self._record_history(run, cause, entered=False)
        self._finish(run, "fired", branch, cause)

    def _suspend(self, run: RuleRun, reason: str, duration: str, cause: Cause) -> None:
        suspended = run._replace(
            reason=reason, since=cause, due=cause.at + parse_duration(duration)
        )
        self._waiting.add(suspended)
        self.changed_runs[run.key] = suspended

    def _finish(self, run: RuleRun, outcome: RunOutcome, reason: str, cause: Cause) -> None:
        self._waiting.remove(run)
        context = run.context if outcome == "fired" else b""
        self.changed_runs[run.key] = run._replace(
            outcome=outcome, reason=reason, since=cause, due=None, context=context
        )

    def _history(self, run: RuleRun) -> RuleHistory:
        evaluation_input = self._profiles.context_of(run.profile_id).evaluation_input
        history: RuleHistory | None = evaluation_input.summaries.get(history_key(run.rule))
        return history or RuleHistory()

    def _record_history(self, run: RuleRun, cause: Cause, *, entered: bool) -> None:
        """Records in the run's stream that the profile entered the rule, or that it fired."""

        def updated(value: RuleHistory | None) -> RuleHistory:
            before = value or RuleHistory()
            if entered:
                return before._replace(last_entered_at=cause.at)
            return before._replace(fired_at=(cause.at, *before.fired_at)[:MAX_CAP_TIMES])

        self._profiles.update_accumulator(run.stream, history_key(run.rule), updated, cause)


def _is_too_old(definition: RuleDefinition, trigger_event: TriggerEvent) -> bool:
    return trigger_event.cause.at - trigger_event.occurred_at > parse_duration(
        definition.options.max_age
    )
