"""What rules are told of what happens to people, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain.evaluation.rule_runner import RuleRunner
from domain.evaluation.rule_runs import TriggerEvent

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause
    from domain.evaluation.engine import Evaluator
    from domain.evaluation.inputs import EventInput, IdentityChange

IDENTIFY = "identify"

AttributeValues = Mapping[str, Sequence[Any]]
"""The values of attributes whose changes set rules off."""


class IdentitySnapshot(NamedTuple):
    """What matters of people before some of them become others."""

    profile_of_stream: Mapping[UUID, UUID]
    """Who each stream was of, if that was somebody."""

    attribute_values: Mapping[UUID, AttributeValues]
    segments: Mapping[UUID, frozenset[str]]


class RuleTriggers:
    """Tells the rules of some people."""

    def __init__(self, evaluator: Evaluator, rule_runner: RuleRunner, *, is_needed: bool) -> None:
        self.rule_runner, self._evaluator, self._is_needed = rule_runner, evaluator, is_needed
        self._membership_changes: list[tuple[UUID, str, bool]] = []

    def membership_changed(self, profile_id: UUID, segment: str, *, entered: bool) -> None:
        """Note that somebody entered a segment, or left it; rules are told once all have moved."""
        if self._is_needed:
            self._membership_changes.append((profile_id, segment, entered))

    def time_advanced(self, profile_id: UUID, cause: Cause) -> None:
        """Tell what only time has caused, then let runs go on that are due."""
        self._trigger_membership_changes(TriggerEvent("", "", {}, cause, cause.at))
        self.rule_runner.advance_time(profile_id, cause)

    def command_applied(self, cause: Cause, *, by_definition: bool = False) -> None:
        """Tell what somebody's decision has caused."""
        self._trigger_membership_changes(
            TriggerEvent("", "", {}, cause, cause.at, by_definition=by_definition)
        )

    def attribute_values(self, profile_id: UUID, kind: str) -> AttributeValues:
        """Return what a message of that kind may change."""
        return (
            self.rule_runner.attribute_values(profile_id)
            if self._is_needed and kind == IDENTIFY
            else {}
        )

    def event_processed(
        self,
        event_input: EventInput,
        profile_id: UUID,
        previous_values: AttributeValues,
        *,
        created: bool,
    ) -> None:
        """Tell what a person did, and what came of it."""
        if not self._is_needed:
            return
        event = event_input.event
        document = {"name": event.name, **event.document}
        trigger_event = TriggerEvent(
            "event", event.name, document, event_input.cause, event.occurred_at, event_input.depth
        )
        self.rule_runner.on_awaited_event(profile_id, trigger_event)
        if created:
            created_event = trigger_event._replace(
                kind="profile", subject="created", document=_CREATED_DOCUMENT
            )
            self.rule_runner.trigger(profile_id, event_input.stream, created_event)
        if event_input.kind == IDENTIFY:
            self.rule_runner.trigger_attribute_changes(
                profile_id, event_input.stream, previous_values, trigger_event
            )
        self._trigger_membership_changes(trigger_event)
        self.rule_runner.trigger(profile_id, event_input.stream, trigger_event)

    def snapshot(self, profile_ids: Iterable[UUID]) -> IdentitySnapshot:
        """Return what matters of people before some of them become others."""
        if not self._is_needed:
            return IdentitySnapshot({}, {}, {})
        profile_ids = list(profile_ids)
        existing = [it for it in profile_ids if self._evaluator.context_of(it).exists]
        return IdentitySnapshot(
            {id_: person for person in existing for id_ in self._evaluator.streams_of(person)},
            {it: self.rule_runner.attribute_values(it) for it in profile_ids},
            {it: self._evaluator.segments_of(it) for it in profile_ids},
        )

    def identity_changed(
        self,
        identity_change: IdentityChange,
        profile_ids: Collection[UUID],
        before: IdentitySnapshot,
    ) -> None:
        """Tell what came of people's being others than before."""
        if not self._is_needed:
            return
        occurred_at = (
            identity_change.cause.at
            if identity_change.linked_at is None
            else identity_change.linked_at
        )
        trigger_event = TriggerEvent(
            "profile", "merged", {}, identity_change.cause, occurred_at, by_merge=True
        )
        self._trigger_membership_changes(
            trigger_event, before if identity_change.linked_at is not None else None
        )
        for profile_id in sorted(profile_ids):
            streams = self._evaluator.streams_of(profile_id)
            previous_ids = {
                before.profile_of_stream[it] for it in streams if it in before.profile_of_stream
            }
            if len(previous_ids) > 1:
                absorbed = sorted(map(str, previous_ids - {profile_id}))
                document = {"profile": "merged", "absorbed": absorbed}
                self.rule_runner.trigger(
                    profile_id, profile_id, trigger_event._replace(document=document)
                )
            if self._evaluator.context_of(profile_id).exists:
                self.rule_runner.trigger_attribute_changes(
                    profile_id,
                    profile_id,
                    before.attribute_values.get(profile_id, {}),
                    trigger_event,
                )

    def broadcast(self, profile_ids: Iterable[UUID], trigger_event: TriggerEvent) -> None:
        """Tell what concerns no single person, for each whom it may concern."""
        for profile_id in sorted(profile_ids):
            if self._evaluator.context_of(profile_id).exists:
                self.rule_runner.trigger(profile_id, profile_id, trigger_event)

    def _trigger_membership_changes(
        self, trigger_event: TriggerEvent, before: IdentitySnapshot | None = None
    ) -> None:
        """Tell who moved; what names that were shown together brought about is as good as what was done.

        Unless a person was in the segment already under one of the names.
        """
        changes, self._membership_changes = self._membership_changes, []
        for profile_id, segment, entered in changes:
            if not self._evaluator.context_of(profile_id).exists:
                continue  # who is somebody else now did not leave
            membership_event = trigger_event._replace(
                kind="entered" if entered else "left",
                subject=segment,
                document={"segment": segment},
            )
            if before is not None:
                membership_event = membership_event._replace(
                    by_merge=entered and self._was_member(profile_id, segment, before)
                )
            self.rule_runner.trigger(profile_id, profile_id, membership_event)

    def _was_member(self, profile_id: UUID, segment: str, before: IdentitySnapshot) -> bool:
        streams = self._evaluator.streams_of(profile_id)
        previous_ids = {
            before.profile_of_stream[it] for it in streams if it in before.profile_of_stream
        }
        return any(segment in before.segments.get(it, ()) for it in previous_ids)


_CREATED_DOCUMENT = {"profile": "created"}
