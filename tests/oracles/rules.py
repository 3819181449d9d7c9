"""What a rule does, said as plainly as can be: over the whole history, instant by instant.

Slow, and written without a look at `domain.rules` or `domain.evaluation`: it is what that is tested against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec

from domain.core.time import to_micros
from domain.events.events import (
    IdentifiersLinked,
    ManualListChanged,
    MessageEvent,
    SegmentDefined,
    SystemEventOccurred,
)
from domain.events.recorded import RecordedEvent
from domain.events.rule_events import RuleDisabled, RuleEnabled
from domain.identity.resolution import facts_from_event
from domain.profiles.state import COMMAND_KINDS
from tests.oracles import conditions as oracle
from tests.oracles import rule_facts as facts
from tests.oracles import values
from tests.oracles.membership import expected, history_of, people
from tests.oracles.rule_facts import Run

SEGMENT = "asked"


@dataclass
class Automation:
    """One rule, and what it does."""

    rule: dict[str, Any]
    version: int
    records: Sequence[RecordedEvent]
    runs: dict[str, Run] = field(default_factory=dict)
    acts: bool = False
    condition: dict[str, Any] | None = None
    inside: set[UUID] = field(default_factory=set)

    def play(self, last: int) -> dict[str, tuple[str, str]]:
        """Go through the history, and return outcome and reason of each run by its cause."""
        clock = to_micros(self.records[0].recorded_at)
        for at, record in enumerate(self.records):
            now = to_micros(record.recorded_at)
            self._pass(self.records[:at], clock, now)
            clock = now
            for before, known, event in self._parts(at):
                self._take(before, known, record, event, now)
        self._pass(self.records, clock, last)
        return {it.cause: (it.outcome, it.reason) for it in self.runs.values()}

    def _parts(self, at: int) -> Iterator[tuple[list[RecordedEvent], list[RecordedEvent], Any]]:
        """Give out what is known before and after an event; an alias first says who is who, then that it was said."""
        record, event = self.records[at], self.records[at].event
        before = list(self.records[:at])
        if event is not None and facts_from_event(event):
            said = event
            if isinstance(event, MessageEvent):
                said = msgspec.structs.replace(event, kind="merge")
            told = [*before, record._replace(event=said)]
            yield before, told, "who is who"
            before = told
        if isinstance(event, MessageEvent) and event.kind in COMMAND_KINDS:
            return
        yield before, [*self.records[:at], record], event

    def _pass(self, known: Sequence[RecordedEvent], after: int, until: int) -> None:
        minute = 60_000_000
        first = after // minute * minute
        ticks = (at + slip for at in range(first, until + 1, minute) for slip in (0, 1))
        for tick in (it for it in ticks if after < it <= until):
            self._moves(known, (tick, 0), tick, {})
            for run in sorted(self.runs.values(), key=lambda it: (it.set_off, it.cause)):
                if run.due == tick:
                    self._go_on(known, run, tick)

    def _take(self, before: Any, known: Any, record: RecordedEvent, event: Any, now: int) -> None:
        at = (now, record.position)
        if event == "who is who":
            linked = isinstance(record.event, IdentifiersLinked)
            occurred = to_micros(record.event.occurred_at) if linked else now
            self._moves(known, at, occurred, {"by_merge": True}, before if linked else None)
            self._merges(before, known, at, occurred)
        elif isinstance(event, SegmentDefined) and event.segment == SEGMENT:
            self.condition = msgspec.json.decode(event.condition)
            self._moves(known, at, now, {"by_definition": True})
        elif isinstance(event, (RuleEnabled, RuleDisabled)):
            self._decided(acts=isinstance(event, RuleEnabled))
        elif isinstance(event, ManualListChanged):
            self._moves(known, at, now, {})
        elif isinstance(event, SystemEventOccurred):
            document = facts.document_of(event)
            for person in facts.profiles_in(known):
                self._set_off(known, person, person, "system_event", document, at, document=document,
                              occurred=to_micros(event.occurred_at))  # fmt: skip
        elif isinstance(event, MessageEvent):
            self._did(before, known, record, event, at)

    def _decided(self, *, acts: bool) -> None:
        self.acts = acts
        for run in self.runs.values():
            if not acts and run.outcome == "waiting":
                run.outcome, run.reason, run.due = "suppressed", "rule_disabled", None

    def _did(self, before: Any, known: Any, record: RecordedEvent, event: Any, at: Any) -> None:
        person, document = people(known)[record.stream].id, facts.document_of(event)
        occurred = to_micros(event.occurred_at)
        self._comes(known, person, document, at, occurred)
        if person not in facts.profiles_in(before):
            self._set_off(known, person, record.stream, "profile", "created", at,
                          document={"profile": "created"}, occurred=occurred)  # fmt: skip
        if event.kind == "identify":
            self._retold(before, known, person, person, record.stream, at, occurred, {})
        self._moves(known, at, occurred, {})
        self._set_off(known, person, record.stream, "event", document, at,
                      document=document, occurred=occurred)  # fmt: skip

    def _merges(self, before, known, at: tuple[int, int], occurred: int) -> None:
        was, now, somebody = people(before), people(known), facts.profiles_in(before)
        for person in facts.profiles_in(known):
            streams = [it for it, one in now.items() if one.id == person]
            were = {was[it].id for it in streams if it in was} & somebody
            if len(were) > 1:
                document = {"profile": "merged", "absorbed": sorted(map(str, were - {person}))}
                self._set_off(known, person, person, "profile", "merged", at,
                              document=document, occurred=occurred, by_merge=True)  # fmt: skip
            self._retold(before, known, person, person, person, at, occurred, {"by_merge": True})

    def _retold(self, before, known, earlier, person, stream, at, occurred, more) -> None:
        old, new = self._attribute(before, earlier), self._attribute(known, person)
        if repr(old) != repr(new) and not values.compares(old, "in", new, 0) | (old == new == []):
            one = {"attribute": "n", "value": (new or [None])[0], "previous": (old or [None])[0]}
            self._set_off(known, person, stream, "attribute_changed", "n", at,
                          document=one, occurred=occurred, **more)  # fmt: skip

    def _attribute(self, known: Sequence[RecordedEvent], person: UUID) -> list[Any]:
        past = self._past(known, person)
        return [] if past is None else list(values.walk(past.attributes, ["n"]))

    def _moves(self, known, at, occurred, more, linked=None) -> None:
        if self.condition is None or not self.rule["trigger"].keys() & {"entered", "left"}:
            return
        somebody = facts.profiles_in(known)
        now = expected(known, self.condition, at[0])
        for person in sorted((now | self.inside) & somebody):
            if (person in now) != (person in self.inside):
                kind = "entered" if person in now else "left"
                if linked is not None:
                    more = {"by_merge": kind == "entered" and self._was_in(linked, known, person)}
                self._set_off(known, person, person, kind, SEGMENT, at,
                              document={"segment": SEGMENT}, occurred=occurred, **more)  # fmt: skip
        self.inside = now

    def _was_in(
        self, before: Sequence[RecordedEvent], known: Sequence[RecordedEvent], person: UUID
    ) -> bool:
        was, now, somebody = people(before), people(known), facts.profiles_in(before)
        streams = [it for it, one in now.items() if one.id == person]
        return bool({was[it].id for it in streams if it in was} & somebody & self.inside)

    def _set_off(
        self, known, person, stream, kind, subject, at, *, document, occurred, **more
    ) -> None:
        if not self.acts or not self._fits(kind, subject, document):
            return
        place = f"{at[1]}" if at[1] else f"@{at[0]}"
        cause = place if kind == "event" else f"{place}/{person}"
        run = Run(cause, stream, at, document)
        reason = self._refusal(known, run, person, at, occurred, more, kind)
        if reason == "audience" and kind == "system_event":
            return
        self.runs[cause] = run
        if reason:
            run.outcome, run.reason = "suppressed", reason
            return
        run.taken = at[0]
        if "delay" in self.rule:
            run.reason, run.due = "delay", at[0] + values.span(self.rule["delay"])
        else:
            self._await(known, run, "at_once", at[0])

    def _fits(self, kind: str, subject: Any, document: dict[str, Any]) -> bool:
        wanted = self.rule["trigger"].get(kind)
        if wanted is None:
            return False
        name = subject["name"] if isinstance(subject, dict) else subject
        if not oracle.named(name, wanted):
            return False
        return all(facts.compares(it, document) for it in self.rule.get("where", ()))

    def _refusal(self, known, run, person, at, occurred, more, kind) -> str:
        clock = at[0]
        audience = facts.filled(self.rule.get("audience"), run.document)
        past = self._past(known, person)
        is_out = audience is False or bool(audience and not oracle.holds(audience, past, clock))
        if is_out and kind == "system_event":
            return "audience"
        if more.get("by_definition"):
            return "by_definition"
        if more.get("by_merge") and kind != "profile" and self.rule.get("on_merge") != "always":
            return "by_merge"
        if self._old(clock, occurred):
            return "too_old"
        if is_out:
            return "audience"
        theirs = self._theirs(known, person)
        reentry = self.rule.get("reentry", "always")
        taken = [it.taken for it in theirs if it.taken is not None]
        if reentry == "not_while_waiting" and any(it.outcome == "waiting" for it in theirs):
            return "reentry"
        if reentry == "once" and taken:
            return "reentry"
        if isinstance(reentry, dict) and any(
            clock - it < values.span(reentry["once_per"]) for it in taken
        ):
            return "reentry"
        return ""

    def _old(self, clock: int, occurred: int) -> bool:
        return clock - occurred > values.span(self.rule.get("max_age", "72h"))

    def _theirs(self, known: Sequence[RecordedEvent], person: UUID) -> list[Run]:
        whose = people(known)
        return [it for it in self.runs.values() if whose[it.stream].id == person]

    def _comes(self, known, person, document, at, occurred) -> None:
        wait = self.rule.get("wait")
        if wait is None or self._old(at[0], occurred):
            return
        for run in sorted(self._theirs(known, person), key=lambda it: (it.set_off, it.cause)):
            if run.reason != "event" or not oracle.named(document["name"], wait["event"]):
                continue
            if "match" in wait:
                steps = wait["match"].split(".")
                theirs = list(values.walk(document, steps))
                ours = list(values.walk(run.document, steps))
                if not theirs or theirs[0] is None or not values.compares(theirs, "in", ours, 0):
                    continue
            self._end(known, run, "then", at[0])

    def _go_on(self, known, run: Run, clock: int) -> None:
        if run.reason == "delay":
            self._await(known, run, "delayed", clock)
        else:
            self._end(known, run, "else", clock)

    def _await(self, known, run: Run, branch: str, clock: int) -> None:
        if "wait" in self.rule:
            run.reason, run.due = "event", clock + values.span(self.rule["wait"]["timeout"])
        else:
            self._end(known, run, branch, clock)

    def _end(self, known, run: Run, branch: str, clock: int) -> None:
        run.due = None
        wait = self.rule.get("wait", {})
        if branch in {"then", "else"} and not wait.get(branch):
            run.outcome = "suppressed"
            run.reason = "event_came" if branch == "then" else "timed_out"
            return
        cap = self.rule.get("cap")
        theirs = self._theirs(known, people(known)[run.stream].id)
        if cap:
            since = clock - values.span(cap["per"])
            if sum(it.fired is not None and it.fired > since for it in theirs) >= cap["times"]:
                run.outcome, run.reason = "suppressed", "cap"
                return
        run.outcome, run.reason, run.fired = "fired", branch, clock

    def _past(self, known: Sequence[RecordedEvent], person: UUID) -> oracle.History | None:
        found = people(known).get(person)
        if found is None or found.id != person:
            return None
        past = history_of(known, found)
        inside = frozenset([SEGMENT]) if person in self.inside else frozenset()
        return past and past._replace(segments=past.segments | inside)
