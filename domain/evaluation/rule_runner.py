"""How rules are set off, wait and come to their end: one decision after the other, each with its reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from domain.conditions.values import same
from domain.core.time import parse_duration
from domain.evaluation.rule_index import Effective, InEffect
from domain.evaluation.rule_runs import (
    AT_ONCE,
    DELAY,
    DELAYED,
    ELSE,
    EVENT,
    THEN,
    Context,
    Occasion,
    Outcome,
    Passed,
    Run,
    cause_of,
    decode_context,
    encode_context,
    in_order,
    passing,
)
from domain.rules.definition import MOST_TIMES, OncePer, Plan

if TYPE_CHECKING:
    from domain.core.ledger_time import Since
    from domain.evaluation.profile_context import KnownOf

MOST_WAITING = 1_000
"""Times that one person may wait in one rule at the same time."""

DEEPEST = 5
"""Rules that may lead to one another, through the events that they send."""


class People(Protocol):
    """Whom rules act on."""

    def streams_of(self, person: UUID) -> Collection[UUID]:
        """Return the streams that are a person's by now."""
        ...

    def known_of(self, person: UUID) -> KnownOf:
        """Return what is known of a person."""
        ...

    def note(self, stream: UUID, key: str, change: Callable[[Any], Any], at: Since) -> None:
        """Remember something else of a stream than before."""
        ...


class Acting:
    """The runs of rules for some people."""

    def __init__(self, effective: Effective, people: People, waiting: Iterable[Run] = ()) -> None:
        self._effective, self._people = effective, people
        self._waiting: dict[UUID, dict[tuple[str, int, str], Run]] = {}
        self.is_asleep = False
        """Whether nothing is set off for now."""

        self.changed: dict[tuple[str, int, str], Run] = {}
        """Runs that are new, or have come to something else than before."""

        for run in waiting:
            self._waiting.setdefault(run.stream, {})[run.key] = run

    @property
    def somebody_waits(self) -> bool:
        """Whether anybody waits in a rule, for time to go by or for an event."""
        return bool(self._waiting)

    def next_due(self, person: UUID) -> int | None:
        """Return when the next of a person's runs goes on by itself."""
        return min((it.due for it in self._theirs(person) if it.due is not None), default=None)

    def pass_time(self, person: UUID, at: Since) -> None:
        """Let a person's runs go on that are due."""
        for run in self._theirs(person):
            if run.due is not None and run.due <= at.at:
                self._go_on(run._replace(person=person), at)

    def comes(self, person: UUID, occasion: Occasion) -> None:
        """Let those of a person's runs go on that wait for this event."""
        if not self._effective.awaits(occasion.subject):
            return
        for run in self._theirs(person):
            plan = self._effective.plans[run.rule, run.version]
            if run.reason != EVENT or plan.wait is None or _is_too_old(plan, occasion):
                continue
            if not plan.wait.comes(occasion.subject):
                continue
            context = decode_context(run.context).document
            if plan.wait.is_met(occasion.document, context):
                self._branch(run._replace(person=person), plan, THEN, occasion.at)

    def take(self, person: UUID, stream: UUID, occasion: Occasion) -> None:
        """Set off all rules that the occasion is one for."""
        if self.is_asleep:
            return
        for each in self._effective.set_off_by(occasion.kind, occasion.subject):
            if each.plan.matches(occasion.document):
                self._set_off(each, person, stream, occasion)

    def told(self, person: UUID) -> Mapping[str, Sequence[Any]]:
        """Return the values of the attributes whose changes set rules off."""
        if not self._effective.by_attribute:
            return {}
        known = self._people.known_of(person).known
        triggers = (it.plan.trigger.attribute for it in self._effective.by_attribute)
        return {it.attribute: list(it.values(known)) for it in triggers if it is not None}

    def retold(
        self, person: UUID, stream: UUID, before: Mapping[str, Sequence[Any]], occasion: Occasion
    ) -> None:
        """Set off rules by attributes that have other values than before."""
        for name, values in self.told(person).items():
            earlier = before.get(name, ())
            if not same(list(earlier), list(values)):
                document = {"attribute": name, "value": _one(values), "previous": _one(earlier)}
                self.take(
                    person,
                    stream,
                    occasion._replace(kind="attribute_changed", subject=name, document=document),
                )

    def _theirs(self, person: UUID) -> Sequence[Run]:
        streams = self._people.streams_of(person)
        if self._waiting.keys().isdisjoint(streams):  # of most people it is so
            return ()
        runs = (self._waiting.get(it, {}).values() for it in streams)
        return in_order([run for each in runs for run in each])

    def _set_off(self, each: InEffect, person: UUID, stream: UUID, occasion: Occasion) -> None:
        at = occasion.at
        run = Run(
            each.rule,
            each.version,
            cause_of(occasion, person),
            stream,
            person,
            at,
            "waiting",
            "",
            at,
            context=encode_context(Context.of(occasion)),
        )
        refusals = self._refusals(each, run, occasion)
        refusal = next(refusals, None)
        if occasion.kind == "system_event" and "audience" in (refusal, *refusals):
            return  # it is for the audience: all others have nothing to do with it
        if refusal is not None:
            self._end(run, "suppressed", refusal, at)
            return
        if each.plan.settings.remembers_taking:
            self._note(run, at, taken=True)
        if each.plan.settings.delay is not None:
            self._wait(run, DELAY, each.plan.settings.delay, at)
        else:
            self._await(run, each.plan, AT_ONCE, at)

    def _refusals(self, each: InEffect, run: Run, occasion: Occasion) -> Iterator[str]:
        """Give out why nothing comes of it; nothing if something does."""
        plan, clock, audience = each.plan, occasion.at.at, each.plan.audience
        if occasion.by_definition:
            yield "by_definition"
        if occasion.by_merge and plan.trigger.MERGING and plan.settings.on_merge == "never":
            yield "by_merge"
        if _is_too_old(plan, occasion):
            yield "too_old"
        if occasion.depth >= DEEPEST:
            yield "too_deep"
        if audience is not None:
            known = self._people.known_of(run.person).known
            if not audience.holds(known, clock, occasion.document):
                yield "audience"
        if not self._may_enter(plan, run, clock):
            yield "reentry"
        if self._number_waiting(run) >= MOST_WAITING:
            yield "too_many"

    def _may_enter(self, plan: Plan, run: Run, clock: int) -> bool:
        reentry = plan.settings.reentry
        if reentry == "always":
            return True
        if reentry == "not_while_waiting":
            return self._number_waiting(run) == 0
        taken = self._passed(run).taken
        if taken is None:
            return True
        return isinstance(reentry, OncePer) and clock - taken >= parse_duration(reentry.once_per)

    def _number_waiting(self, run: Run) -> int:
        return sum(it.rule == run.rule for it in self._theirs(run.person))

    def _go_on(self, run: Run, at: Since) -> None:
        plan = self._effective.plans[run.rule, run.version]
        if run.reason == DELAY:
            self._await(run, plan, DELAYED, at)
        else:
            self._branch(run, plan, ELSE, at)

    def _await(self, run: Run, plan: Plan, branch: str, at: Since) -> None:
        """Wait for an event if the rule says so, or fire."""
        if plan.wait is not None:
            self._wait(run, EVENT, plan.wait.timeout, at)
        else:
            self._fire(run, plan, branch, at)

    def _branch(self, run: Run, plan: Plan, branch: str, at: Since) -> None:
        if plan.actions(branch):
            self._fire(run, plan, branch, at)
        else:
            self._end(run, "suppressed", "event_came" if branch == THEN else "timed_out", at)

    def _fire(self, run: Run, plan: Plan, branch: str, at: Since) -> None:
        cap = plan.settings.cap
        if cap is not None:
            since = at.at - parse_duration(cap.per)
            if sum(it > since for it in self._passed(run).fired) >= cap.times:
                self._end(run, "suppressed", "cap", at)
                return
            self._note(run, at, taken=False)
        self._end(run, "fired", branch, at)

    def _wait(self, run: Run, reason: str, span: str, at: Since) -> None:
        waiting = run._replace(reason=reason, since=at, due=at.at + parse_duration(span))
        self._waiting.setdefault(run.stream, {})[run.key] = waiting
        self.changed[run.key] = waiting

    def _end(self, run: Run, outcome: Outcome, reason: str, at: Since) -> None:
        theirs = self._waiting.get(run.stream, {})
        theirs.pop(run.key, None)
        if not theirs:
            self._waiting.pop(run.stream, None)
        context = run.context if outcome == "fired" else b""
        self.changed[run.key] = run._replace(
            outcome=outcome, reason=reason, since=at, due=None, context=context
        )

    def _passed(self, run: Run) -> Passed:
        known = self._people.known_of(run.person).known
        found: Passed | None = known.summaries.get(passing(run.rule))
        return found or Passed()

    def _note(self, run: Run, at: Since, *, taken: bool) -> None:
        """Remember, with the stream that it is about, that the rule has taken somebody, or fired."""

        def noted(value: Passed | None) -> Passed:
            before = value or Passed()
            if taken:
                return before._replace(taken=at.at)
            return before._replace(fired=(at.at, *before.fired)[:MOST_TIMES])

        self._people.note(run.stream, passing(run.rule), noted, at)


def _is_too_old(plan: Plan, occasion: Occasion) -> bool:
    return occasion.at.at - occasion.occurred > parse_duration(plan.settings.max_age)


def _one(values: Sequence[Any]) -> Any:
    """Return the value of a path that leads to one, null for none, a list for several."""
    if len(values) > 1:
        return list(values)
    return values[0] if values else None
