"""Triggers rules for events, timers, identity changes and commands, in a fixed order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.rule_runner import RuleRunner
from domain.evaluation.rule_runs import TriggerEvent

if TYPE_CHECKING:
    from domain.core.ledger_time import Cause
    from domain.evaluation.inputs import EventInput, IdentityChange

IDENTIFY = "identify"

AttributeValues = Mapping[str, Sequence[Any]]
"""A profile's values of the attributes that rules observe, by name."""

_CREATED_DOCUMENT = {"profile": "created"}


class IdentitySnapshot(NamedTuple):
    """State before an identity change, of the profiles that it involves."""

    profile_of_stream: Mapping[UUID, UUID]
    """Owners of the streams of profiles that existed."""

    attribute_values: Mapping[UUID, AttributeValues]
    segments: Mapping[UUID, frozenset[str]]


class RuleTriggers:
    """Triggers the rules of the loaded profiles."""

    def __init__(
        self, profiles: LoadedProfiles, rule_runner: RuleRunner, *, is_needed: bool
    ) -> None:
        """``is_needed`` is false if there are no rules."""
        self.rule_runner, self._profiles, self._is_needed = rule_runner, profiles, is_needed
        self._membership_changes: list[tuple[UUID, str, bool]] = []

    def membership_changed(self, profile_id: UUID, segment: str, *, entered: bool) -> None:
        """Collects a membership change; rules are triggered when all segments are evaluated."""
        if self._is_needed:
            self._membership_changes.append((profile_id, segment, entered))

    def time_advanced(self, profile_id: UUID, cause: Cause) -> None:
        """Triggers rules for changes through time alone, then resumes runs that are due."""
        self._trigger_membership_changes(TriggerEvent("", "", {}, cause, cause.at))
        self.rule_runner.advance_time(profile_id, cause)

    def command_applied(self, cause: Cause, *, by_definition: bool = False) -> None:
        """Triggers rules for changes that a command caused."""
        self._trigger_membership_changes(
            TriggerEvent("", "", {}, cause, cause.at, by_definition=by_definition)
        )

    def attribute_values(self, profile_id: UUID, kind: str) -> AttributeValues:
        """Returns the observed attributes that a message of a kind may change."""
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
        """Triggers rules for an event and for what it changed; ``created``: the profile is new."""
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
        """Returns the state that `identity_changed` compares with."""
        if not self._is_needed:
            return IdentitySnapshot({}, {}, {})
        profile_ids = list(profile_ids)
        existing = [
            profile_id for profile_id in profile_ids if self._profiles.context_of(profile_id).exists
        ]
        return IdentitySnapshot(
            {
                stream: profile_id
                for profile_id in existing
                for stream in self._profiles.streams_of(profile_id)
            },
            {
                profile_id: self.rule_runner.attribute_values(profile_id)
                for profile_id in profile_ids
            },
            {profile_id: self._profiles.segments_of(profile_id) for profile_id in profile_ids},
        )

    def identity_changed(
        self,
        identity_change: IdentityChange,
        profile_ids: Collection[UUID],
        before: IdentitySnapshot,
    ) -> None:
        """Triggers rules for a merge, an unmerge or a link, and for what it changed."""
        if not self._is_needed:
            return
        cause, linked_at = identity_change.cause, identity_change.linked_at
        occurred_at = cause.at if linked_at is None else linked_at
        trigger_event = TriggerEvent("profile", "merged", {}, cause, occurred_at, by_merge=True)
        self._trigger_membership_changes(trigger_event, before if linked_at is not None else None)
        for profile_id in sorted(profile_ids):
            previous_ids = self._previous_ids(profile_id, before)
            if len(previous_ids) > 1:
                absorbed = sorted(map(str, previous_ids - {profile_id}))
                document = {"profile": "merged", "absorbed": absorbed}
                self.rule_runner.trigger(
                    profile_id, profile_id, trigger_event._replace(document=document)
                )
            if self._profiles.context_of(profile_id).exists:
                self.rule_runner.trigger_attribute_changes(
                    profile_id,
                    profile_id,
                    before.attribute_values.get(profile_id, {}),
                    trigger_event,
                )

    def broadcast(self, profile_ids: Iterable[UUID], trigger_event: TriggerEvent) -> None:
        """Triggers rules by a system event, for each of the profiles."""
        for profile_id in sorted(profile_ids):
            if self._profiles.context_of(profile_id).exists:
                self.rule_runner.trigger(profile_id, profile_id, trigger_event)

    def _trigger_membership_changes(
        self, trigger_event: TriggerEvent, before: IdentitySnapshot | None = None
    ) -> None:
        """Triggers rules for the collected membership changes.

        ``before`` is given if a message linked two identifiers.  A change caused by that counts as the
        profile's own, unless one of the merged profiles was already a member.
        """
        changes, self._membership_changes = self._membership_changes, []
        for profile_id, segment, entered in changes:
            if not self._profiles.context_of(profile_id).exists:
                continue  # this profile was merged away; that is not a `left` event
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
        return any(
            segment in before.segments.get(previous_id, ())
            for previous_id in self._previous_ids(profile_id, before)
        )

    def _previous_ids(self, profile_id: UUID, before: IdentitySnapshot) -> set[UUID]:
        """Returns the profiles that owned this profile's streams before."""
        return {
            before.profile_of_stream[stream]
            for stream in self._profiles.streams_of(profile_id)
            if stream in before.profile_of_stream
        }
