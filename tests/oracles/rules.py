"""Oracle of rules: plays a whole history, instant by instant, as simply as possible.

It is slow and independent of `domain.rules` and `domain.evaluation`, which are tested against it.
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
from domain.identity.facts import facts_from_event
from domain.profiles.state import COMMAND_KINDS
from tests.oracles import conditions as oracle
from tests.oracles import rule_facts as facts
from tests.oracles import values
from tests.oracles.membership import expected_members, history_of, profiles_by_stream
from tests.oracles.rule_facts import Run

SEGMENT = "tested"
IDENTITY_FACTS = "identity facts"


@dataclass
class Automation:
    """One rule and its runs."""

    rule: dict[str, Any]
    version: int
    records: Sequence[RecordedEvent]
    runs: dict[str, Run] = field(default_factory=dict)
    enabled: bool = False
    condition: dict[str, Any] | None = None
    members: set[UUID] = field(default_factory=set)

    def play(self, last: int) -> dict[str, tuple[str, str]]:
        """Plays the history until ``last``; returns the outcome and reason of each run by its cause."""
        clock = to_micros(self.records[0].recorded_at)
        for index, record in enumerate(self.records):
            now = to_micros(record.recorded_at)
            self._advance_time(self.records[:index], clock, now)
            clock = now
            for before, records, event in self._parts(index):
                self._apply(before, records, record, event, now)
        self._advance_time(self.records, clock, last)
        return {run.cause: (run.outcome, run.reason) for run in self.runs.values()}

    def _parts(self, index: int) -> Iterator[tuple[list[RecordedEvent], list[RecordedEvent], Any]]:
        """Yields the records before and after each part of an event.

        An event with identity facts has two parts: first its facts, as a merge, then the event itself.
        """
        record, event = self.records[index], self.records[index].event
        before = list(self.records[:index])
        if event is not None and facts_from_event(event):
            facts_only = event
            if isinstance(event, MessageEvent):
                facts_only = msgspec.structs.replace(event, kind="merge")
            after = [*before, record._replace(event=facts_only)]
            yield before, after, IDENTITY_FACTS
            before = after
        if isinstance(event, MessageEvent) and event.kind in COMMAND_KINDS:
            return
        yield before, [*self.records[:index], record], event

    def _advance_time(self, records: Sequence[RecordedEvent], after: int, until: int) -> None:
        minute = 60_000_000
        first = after // minute * minute
        ticks = (at + offset for at in range(first, until + 1, minute) for offset in (0, 1))
        for tick in (tick for tick in ticks if after < tick <= until):
            self._membership_changes(records, (tick, 0), tick, {})
            for run in sorted(self.runs.values(), key=lambda run: (run.started, run.cause)):
                if run.due == tick:
                    self._resume(records, run, tick)

    def _apply(self, before, records, record: RecordedEvent, event: Any, now: int) -> None:
        at = (now, record.position)
        if event == IDENTITY_FACTS:
            linked = isinstance(record.event, IdentifiersLinked)
            occurred_at = to_micros(record.event.occurred_at) if linked else now
            self._membership_changes(
                records, at, occurred_at, {"by_merge": True}, before if linked else None
            )
            self._merges(before, records, at, occurred_at)
        elif isinstance(event, SegmentDefined) and event.segment == SEGMENT:
            self.condition = msgspec.json.decode(event.condition)
            self._membership_changes(records, at, now, {"by_definition": True})
        elif isinstance(event, (RuleEnabled, RuleDisabled)):
            self._set_enabled(enabled=isinstance(event, RuleEnabled))
        elif isinstance(event, ManualListChanged):
            self._membership_changes(records, at, now, {})
        elif isinstance(event, SystemEventOccurred):
            document = facts.trigger_document(event)
            for profile_id in facts.profiles_in(records):
                self._trigger(records, profile_id, profile_id, "system_event", document, at,
                              document=document, occurred_at=to_micros(event.occurred_at))  # fmt: skip
        elif isinstance(event, MessageEvent):
            self._on_message(before, records, record, event, at)

    def _set_enabled(self, *, enabled: bool) -> None:
        self.enabled = enabled
        for run in self.runs.values():
            if not enabled and run.outcome == "waiting":
                run.outcome, run.reason, run.due = "suppressed", "rule_disabled", None

    def _on_message(
        self, before: Any, records: Any, record: RecordedEvent, event: Any, at: Any
    ) -> None:
        profile_id = profiles_by_stream(records)[record.stream].id
        document = facts.trigger_document(event)
        occurred_at = to_micros(event.occurred_at)
        self._on_awaited_event(records, profile_id, document, at, occurred_at)
        if profile_id not in facts.profiles_in(before):
            self._trigger(records, profile_id, record.stream, "profile", "created", at,
                          document={"profile": "created"}, occurred_at=occurred_at)  # fmt: skip
        if event.kind == "identify":
            stream = record.stream
            self._attribute_change(before, records, profile_id, stream, at, occurred_at, {})
        self._membership_changes(records, at, occurred_at, {})
        self._trigger(records, profile_id, record.stream, "event", document, at,
                      document=document, occurred_at=occurred_at)  # fmt: skip

    def _merges(self, before, records, at: tuple[int, int], occurred_at: int) -> None:
        for profile_id in facts.profiles_in(records):
            previous_ids = facts.previous_profiles(before, records, profile_id)
            if len(previous_ids) > 1:
                absorbed = sorted(map(str, previous_ids - {profile_id}))
                document = {"profile": "merged", "absorbed": absorbed}
                self._trigger(records, profile_id, profile_id, "profile", "merged", at,
                              document=document, occurred_at=occurred_at, by_merge=True)  # fmt: skip
            flags = {"by_merge": True}
            self._attribute_change(before, records, profile_id, profile_id, at, occurred_at, flags)

    def _attribute_change(
        self, before, records, profile_id, stream, at, occurred_at, flags
    ) -> None:
        old, new = self._attribute(before, profile_id), self._attribute(records, profile_id)
        if repr(old) != repr(new) and not values.compares(old, "in", new, 0) | (old == new == []):
            document = {"attribute": "n", "value": (new or [None])[0],
                        "previous": (old or [None])[0]}  # fmt: skip
            self._trigger(records, profile_id, stream, "attribute_changed", "n", at,
                          document=document, occurred_at=occurred_at, **flags)  # fmt: skip

    def _attribute(self, records: Sequence[RecordedEvent], profile_id: UUID) -> list[Any]:
        history = self._history(records, profile_id)
        return [] if history is None else list(values.walk(history.attributes, ["n"]))

    def _membership_changes(self, records, at, occurred_at, flags, linked=None) -> None:
        if self.condition is None or not self.rule["trigger"].keys() & {"entered", "left"}:
            return
        existing = facts.profiles_in(records)
        now = expected_members(records, self.condition, at[0])
        for profile_id in sorted((now | self.members) & existing):
            if (profile_id in now) != (profile_id in self.members):
                kind = "entered" if profile_id in now else "left"
                if linked is not None:
                    flags = {
                        "by_merge": kind == "entered"
                        and self._was_member(linked, records, profile_id)
                    }
                self._trigger(records, profile_id, profile_id, kind, SEGMENT, at,
                              document={"segment": SEGMENT}, occurred_at=occurred_at, **flags)  # fmt: skip
        self.members = now

    def _was_member(
        self, before: Sequence[RecordedEvent], records: Sequence[RecordedEvent], profile_id: UUID
    ) -> bool:
        return bool(facts.previous_profiles(before, records, profile_id) & self.members)

    def _trigger(
        self, records, profile_id, stream, kind, subject, at, *, document, occurred_at, **flags
    ) -> None:
        if not self.enabled or not self._matches(kind, subject, document):
            return
        origin = f"{at[1]}" if at[1] else f"@{at[0]}"
        cause = origin if kind == "event" else f"{origin}/{profile_id}"
        run = Run(cause, stream, at, document)
        reason = self._suppression_reason(records, run, profile_id, at, occurred_at, flags, kind)
        if reason == "audience" and kind == "system_event":
            return
        self.runs[cause] = run
        if reason:
            run.outcome, run.reason = "suppressed", reason
            return
        run.entered_at = at[0]
        if "delay" in self.rule:
            run.reason, run.due = "delay", at[0] + values.span(self.rule["delay"])
        else:
            self._wait_or_fire(records, run, "at_once", at[0])

    def _matches(self, kind: str, subject: Any, document: dict[str, Any]) -> bool:
        expected = self.rule["trigger"].get(kind)
        if expected is None:
            return False
        name = subject["name"] if isinstance(subject, dict) else subject
        if not oracle.matches_name(name, expected):
            return False
        return all(facts.compares(test, document) for test in self.rule.get("where", ()))

    def _suppression_reason(self, records, run, profile_id, at, occurred_at, flags, kind) -> str:
        clock = at[0]
        audience = facts.resolve_fields(self.rule.get("audience"), run.document)
        history = self._history(records, profile_id)
        is_out = audience is False or bool(audience and not oracle.holds(audience, history, clock))
        if is_out and kind == "system_event":
            return "audience"
        if flags.get("by_definition"):
            return "by_definition"
        if flags.get("by_merge") and kind != "profile" and self.rule.get("on_merge") != "always":
            return "by_merge"
        if self._is_too_old(clock, occurred_at):
            return "too_old"
        if is_out:
            return "audience"
        runs = self._runs_of(records, profile_id)
        reentry = self.rule.get("reentry", "always")
        entries = [run.entered_at for run in runs if run.entered_at is not None]
        if reentry == "not_while_waiting" and any(run.outcome == "waiting" for run in runs):
            return "reentry"
        if reentry == "once" and entries:
            return "reentry"
        if isinstance(reentry, dict) and any(
            clock - entered_at < values.span(reentry["once_per"]) for entered_at in entries
        ):
            return "reentry"
        return ""

    def _is_too_old(self, clock: int, occurred_at: int) -> bool:
        return clock - occurred_at > values.span(self.rule.get("max_age", "72h"))

    def _runs_of(self, records: Sequence[RecordedEvent], profile_id: UUID) -> list[Run]:
        owners = profiles_by_stream(records)
        return [run for run in self.runs.values() if owners[run.stream].id == profile_id]

    def _on_awaited_event(self, records, profile_id, document, at, occurred_at) -> None:
        wait = self.rule.get("wait")
        if wait is None or self._is_too_old(at[0], occurred_at):
            return
        runs = self._runs_of(records, profile_id)
        for run in sorted(runs, key=lambda run: (run.started, run.cause)):
            if run.reason != "event" or not oracle.matches_name(document["name"], wait["event"]):
                continue
            if "match" in wait:
                steps = wait["match"].split(".")
                actual = list(values.walk(document, steps))
                expected = list(values.walk(run.document, steps))
                is_equal = values.compares(actual, "in", expected, 0)
                if not actual or actual[0] is None or not is_equal:
                    continue
            self._finish(records, run, "then", at[0])

    def _resume(self, records, run: Run, clock: int) -> None:
        if run.reason == "delay":
            self._wait_or_fire(records, run, "delayed", clock)
        else:
            self._finish(records, run, "else", clock)

    def _wait_or_fire(self, records, run: Run, branch: str, clock: int) -> None:
        if "wait" in self.rule:
            run.reason, run.due = "event", clock + values.span(self.rule["wait"]["timeout"])
        else:
            self._finish(records, run, branch, clock)

    def _finish(self, records, run: Run, branch: str, clock: int) -> None:
        run.due = None
        wait = self.rule.get("wait", {})
        if branch in {"then", "else"} and not wait.get(branch):
            run.outcome = "suppressed"
            run.reason = "event_came" if branch == "then" else "timed_out"
            return
        cap = self.rule.get("cap")
        runs = self._runs_of(records, profiles_by_stream(records)[run.stream].id)
        if cap:
            since = clock - values.span(cap["per"])
            firings = [run for run in runs if run.fired_at is not None and run.fired_at > since]
            if len(firings) >= cap["times"]:
                run.outcome, run.reason = "suppressed", "cap"
                return
        run.outcome, run.reason, run.fired_at = "fired", branch, clock

    def _history(self, records: Sequence[RecordedEvent], profile_id: UUID) -> oracle.History | None:
        profile = profiles_by_stream(records).get(profile_id)
        if profile is None or profile.id != profile_id:
            return None
        history = history_of(records, profile)
        member_of = frozenset([SEGMENT]) if profile_id in self.members else frozenset()
        return history and history._replace(segments=history.segments | member_of)
