"""How rules are set off, wait and come to their end: one decision after the other, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from domain.conditions.values import json_equal
from domain.core.time import parse_duration
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
    sorted_by_start,
)
from domain.rules.definition import MAX_CAP_TIMES, OncePer, RuleDefinition

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause
    from domain.evaluation.profile_context import ProfileContext

MAX_WAITING_RUNS = 1_000
"""Times that one person may wait in one rule at the same time."""

MAX_RULE_DEPTH = 5
"""Rules that may lead to one another, through the events that they send."""


class ProfileAccess(Protocol):
    """Whom rules act on."""

    def streams_of(self, profile_id: UUID) -> Collection[UUID]:
        """Return the streams that are a person's by now."""
        ...

    def context_of(self, profile_id: UUID) -> ProfileContext:
        """Return what is known of a person."""
        ...

    def update_accumulator(
        self, stream: UUID, key: str, change: Callable[[Any], Any], cause: Cause
    ) -> None:
        """Remember something else of a stream than before."""
        ...


class RuleRunner:
    """The runs of rules for some people."""

    def __init__(
        self, rule_index: RuleIndex, profiles: ProfileAccess, waiting: Iterable[RuleRun] = ()
    ) -> None:
        self._rule_index, self._profiles = rule_index, profiles
        self._waiting: dict[UUID, dict[tuple[str, int, str], RuleRun]] = {}
        self.paused = False
        """Whether nothing is set off for now."""

        self.changed_runs: dict[tuple[str, int, str], RuleRun] = {}
        """Runs that are new, or have come to something else than before."""

        for run in waiting:
            self._waiting.setdefault(run.stream, {})[run.key] = run

    @property
    def has_waiting_runs(self) -> bool:
        """Whether anybody waits in a rule, for time to go by or for an event."""
        return bool(self._waiting)

    def next_timer(self, profile_id: UUID) -> int | None:
        """Return when the next of a person's runs goes on by itself."""
        return min((it.due for it in self._runs_of(profile_id) if it.due is not None), default=None)

    def advance_time(self, profile_id: UUID, cause: Cause) -> None:
        """Let a person's runs go on that are due."""
        for run in self._runs_of(profile_id):
            if run.due is not None and run.due <= cause.at:
                self._resume(run._replace(profile_id=profile_id), cause)

    def on_awaited_event(self, profile_id: UUID, trigger_event: TriggerEvent) -> None:
        """Let those of a person's runs go on that wait for this event."""
        if not self._rule_index.awaits(trigger_event.subject):
            return
        for run in self._runs_of(profile_id):
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

    def trigger(self, profile_id: UUID, stream: UUID, trigger_event: TriggerEvent) -> None:
        """Set off all rules that the occasion is one for."""
        if self.paused:
            return
        for rule in self._rule_index.triggered_by(trigger_event.kind, trigger_event.subject):
            if rule.definition.matches(trigger_event.document):
                self._start_run(rule, profile_id, stream, trigger_event)

    def attribute_values(self, profile_id: UUID) -> Mapping[str, Sequence[Any]]:
        """Return the values of the attributes whose changes set rules off."""
        if not self._rule_index.attribute_triggered:
            return {}
        evaluation_input = self._profiles.context_of(profile_id).evaluation_input
        triggers = (it.definition.trigger.attribute for it in self._rule_index.attribute_triggered)
        return {
            it.attribute: list(it.values(evaluation_input)) for it in triggers if it is not None
        }

    def trigger_attribute_changes(
        self,
        profile_id: UUID,
        stream: UUID,
        before: Mapping[str, Sequence[Any]],
        trigger_event: TriggerEvent,
    ) -> None:
        """Set off rules by attributes that have other values than before."""
        for name, values in self.attribute_values(profile_id).items():
            previous = before.get(name, ())
            if not json_equal(list(previous), list(values)):
                document = {
                    "attribute": name,
                    "value": _single_or_list(values),
                    "previous": _single_or_list(previous),
                }
                self.trigger(
                    profile_id,
                    stream,
                    trigger_event._replace(
                        kind="attribute_changed", subject=name, document=document
                    ),
                )

    def _runs_of(self, profile_id: UUID) -> Sequence[RuleRun]:
        streams = self._profiles.streams_of(profile_id)
        if self._waiting.keys().isdisjoint(streams):  # of most people it is so
            return ()
        runs = (self._waiting.get(it, {}).values() for it in streams)
        return sorted_by_start([run for each in runs for run in each])

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
        reasons = self._suppression_reasons(rule, run, trigger_event)
        reason = next(reasons, None)
        if trigger_event.kind == "system_event" and "audience" in (reason, *reasons):
            return  # it is for the audience: all others have nothing to do with it
        if reason is not None:
            self._finish(run, "suppressed", reason, cause)
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
        """Give out why nothing comes of it; nothing if something does."""
        definition, clock, audience = (
            rule.definition,
            trigger_event.cause.at,
            rule.definition.audience,
        )
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
        if self._waiting_count(run) >= MAX_WAITING_RUNS:
            yield "too_many"

    def _may_reenter(self, definition: RuleDefinition, run: RuleRun, clock: int) -> bool:
        reentry = definition.options.reentry
        if reentry == "always":
            return True
        if reentry == "not_while_waiting":
            return self._waiting_count(run) == 0
        last_entered_at = self._history(run).last_entered_at
        if last_entered_at is None:
            return True
        return isinstance(reentry, OncePer) and clock - last_entered_at >= parse_duration(
            reentry.once_per
        )

    def _waiting_count(self, run: RuleRun) -> int:
        return sum(it.rule == run.rule for it in self._runs_of(run.profile_id))

    def _resume(self, run: RuleRun, cause: Cause) -> None:
        definition = self._rule_index.definitions[run.rule, run.version]
        if run.reason == DELAY:
            self._wait_or_fire(run, definition, DELAYED, cause)
        else:
            self._finish_wait(run, definition, ELSE, cause)

    def _wait_or_fire(
        self, run: RuleRun, definition: RuleDefinition, branch: str, cause: Cause
    ) -> None:
        """Wait for an event if the rule says so, or fire."""
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
            if sum(it > since for it in self._history(run).fired_at) >= cap.times:
                self._finish(run, "suppressed", "cap", cause)
                return
            self._record_history(run, cause, entered=False)
        self._finish(run, "fired", branch, cause)

    def _suspend(self, run: RuleRun, reason: str, duration: str, cause: Cause) -> None:
        waiting = run._replace(reason=reason, since=cause, due=cause.at + parse_duration(duration))
        self._waiting.setdefault(run.stream, {})[run.key] = waiting
        self.changed_runs[run.key] = waiting

    def _finish(self, run: RuleRun, outcome: RunOutcome, reason: str, cause: Cause) -> None:
        waiting = self._waiting.get(run.stream, {})
        waiting.pop(run.key, None)
        if not waiting:
            self._waiting.pop(run.stream, None)
        context = run.context if outcome == "fired" else b""
        self.changed_runs[run.key] = run._replace(
            outcome=outcome, reason=reason, since=cause, due=None, context=context
        )

    def _history(self, run: RuleRun) -> RuleHistory:
        evaluation_input = self._profiles.context_of(run.profile_id).evaluation_input
        history: RuleHistory | None = evaluation_input.summaries.get(history_key(run.rule))
        return history or RuleHistory()

    def _record_history(self, run: RuleRun, cause: Cause, *, entered: bool) -> None:
        """Remember, with the stream that it is about, that the rule has taken somebody, or fired."""

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


def _single_or_list(values: Sequence[Any]) -> Any:
    """Return the value of a path that leads to one, null for none, a list for several."""
    if len(values) > 1:
        return list(values)
    return values[0] if values else None
