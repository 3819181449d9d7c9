"""Derives what triggers rules from the changes of one step, in a fixed order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from domain.conditions.values import json_equal
from domain.evaluation.changes import (
    Changes,
    CommandChanges,
    EventChanges,
    IdentitySnapshot,
    MembershipChange,
    MergeChanges,
    TimerChanges,
)
from domain.evaluation.inputs import EventInput
from domain.evaluation.loaded_profiles import LoadedProfiles
from domain.evaluation.rule_index import AttributeValues, RuleIndex
from domain.evaluation.rule_runs import TriggerEvent

IDENTIFY = "identify"
"""Kind of the messages that may change attributes."""

_CREATED_DOCUMENT = {"profile": "created"}


class Trigger(NamedTuple):
    """A trigger event of a profile."""

    profile_id: UUID
    stream: UUID
    """The stream that the runs it starts follow."""

    event: TriggerEvent


class RuleTriggers:
    """Derives triggers for the rules of an index.  It starts no run and changes nothing."""

    def __init__(self, rule_index: RuleIndex, profiles: LoadedProfiles) -> None:
        self._rule_index, self._profiles = rule_index, profiles

    def of(self, changes: Changes) -> Iterator[Trigger]:
        """Yields what triggers rules, in the order in which it does."""
        match changes:
            case EventChanges():
                return self._of_event(changes)
            case MergeChanges():
                return self._of_merge(changes)
            case TimerChanges(_, cause, memberships):
                trigger_event = TriggerEvent("", "", {}, cause, cause.at)
                return self._of_memberships(memberships, trigger_event)
            case CommandChanges(cause, memberships, by_definition):
                trigger_event = TriggerEvent(
                    "", "", {}, cause, cause.at, by_definition=by_definition
                )
                return self._of_memberships(memberships, trigger_event)

    def _of_event(self, changes: EventChanges) -> Iterator[Trigger]:
        event_input, profile_id = changes.event_input, changes.profile_id
        stream, trigger_event = event_input.stream, event_trigger(event_input)
        if changes.created:
            created = trigger_event._replace(
                kind="profile", subject="created", document=_CREATED_DOCUMENT
            )
            yield Trigger(profile_id, stream, created)
        if event_input.kind == IDENTIFY:
            previous = changes.previous_values
            yield from self._of_attributes(profile_id, stream, previous, trigger_event)
        yield from self._of_memberships(changes.memberships, trigger_event)
        yield Trigger(profile_id, stream, trigger_event)

    def _of_merge(self, changes: MergeChanges) -> Iterator[Trigger]:
        """Yields triggers of a merge, an unmerge or a link, and of what it changed."""
        (cause, _, linked_at), before = changes.identity_change, changes.before
        occurred_at = cause.at if linked_at is None else linked_at
        trigger_event = TriggerEvent("profile", "merged", {}, cause, occurred_at, by_merge=True)
        yield from self._of_memberships(
            changes.memberships, trigger_event, before if linked_at is not None else None
        )
        for profile_id in changes.profile_ids:
            previous_ids = self._previous_ids(profile_id, before)
            if len(previous_ids) > 1:
                absorbed = sorted(map(str, previous_ids - {profile_id}))
                document = {"profile": "merged", "absorbed": absorbed}
                merged = trigger_event._replace(document=document)
                yield Trigger(profile_id, profile_id, merged)
            if self._profiles.context_of(profile_id).exists:
                previous = before.attribute_values.get(profile_id, {})
                yield from self._of_attributes(profile_id, profile_id, previous, trigger_event)

    def _of_attributes(
        self,
        profile_id: UUID,
        stream: UUID,
        before: AttributeValues,
        trigger_event: TriggerEvent,
    ) -> Iterator[Trigger]:
        """Yields a trigger for each observed attribute whose values differ from those before."""
        if not self._rule_index.attribute_triggered:
            return
        context = self._profiles.context_of(profile_id)
        for name, values in self._rule_index.observed_values(context.evaluation_input).items():
            previous = before.get(name, ())
            if not json_equal(list(previous), list(values)):
                document = {
                    "attribute": name,
                    "value": _single_or_list(values),
                    "previous": _single_or_list(previous),
                }
                changed = trigger_event._replace(
                    kind="attribute_changed", subject=name, document=document
                )
                yield Trigger(profile_id, stream, changed)

    def _of_memberships(
        self,
        memberships: Sequence[MembershipChange],
        trigger_event: TriggerEvent,
        before: IdentitySnapshot | None = None,
    ) -> Iterator[Trigger]:
        """Yields a trigger for each membership change.

        ``before`` is given if a message linked two identifiers.  A change caused by that counts as the
        profile's own, unless one of the merged profiles was already a member.
        """
        for profile_id, segment, entered in memberships:
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
            yield Trigger(profile_id, profile_id, membership_event)

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


def event_trigger(event_input: EventInput) -> TriggerEvent:
    """Returns the trigger event of a profile's event."""
    event = event_input.event
    document = {"name": event.name, **event.document}
    return TriggerEvent(
        "event", event.name, document, event_input.cause, event.occurred_at, event_input.depth
    )


def _single_or_list(values: Sequence[Any]) -> Any:
    """Returns the single value of a path, null for none, a list for several."""
    if len(values) > 1:
        return list(values)
    return values[0] if values else None
