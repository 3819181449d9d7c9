"""Oracle of membership: evaluates a condition over each profile's whole history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from domain.core.time import to_micros
from domain.events import payload
from domain.events.events import (
    ManualListChanged,
    MessageEvent,
)
from domain.events.recorded import RecordedEvent
from domain.identity.facts import facts_from_event
from domain.identity.resolution import resolve_components
from domain.identity.resolved_profile import ResolvedProfile, profile_of_component
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from tests.integration.projections.history import stream_of
from tests.oracles import conditions as oracle


def members(intervals: Sequence[Any], segment: str, clock: int) -> set[UUID]:
    """Returns the profiles that were in a segment at an instant, by the read model's intervals."""
    return {
        interval.profile
        for interval in intervals
        if interval.segment == segment
        and interval.entered_at <= clock
        and (interval.left_at is None or clock < interval.left_at)
    }


def profiles_by_stream(records: Sequence[RecordedEvent]) -> Mapping[UUID, ResolvedProfile]:
    """Returns the profiles of events, by stream."""
    facts = [fact for record in records if record.event for fact in facts_from_event(record.event)]
    linked = [
        profile_of_component(component, stream_of)
        for component in resolve_components(facts).values()
    ]
    profiles = {stream: profile for profile in linked for stream in profile.streams}
    for record in records:
        event, stream = record.event, record.stream
        if not isinstance(event, MessageEvent) or event.subject is None:
            continue
        if stream not in profiles:
            profiles[stream] = ResolvedProfile(stream, (event.subject,), (stream,), {})
    return profiles


def expected_members(
    records: Sequence[RecordedEvent],
    document: Any,
    clock: int,
    other_segments: Mapping[str, Any] = {},
) -> set[UUID]:
    """Returns the profiles that match a condition, of the events recorded by the clock.

    ``other_segments`` are the conditions of segments that it may refer to.
    """
    recorded = [record for record in records if to_micros(record.recorded_at) <= clock]
    matching = set()
    profiles = {profile.id: profile for profile in profiles_by_stream(recorded).values()}
    for profile in profiles.values():
        history = history_of(recorded, profile)
        if history is not None:
            member_of = {
                name
                for name, condition in other_segments.items()
                if oracle.holds(condition, history, clock)
            }
            segments = history.segments - other_segments.keys() | member_of
            history = history._replace(segments=segments)
        if history is not None and oracle.holds(document, history, clock):
            matching.add(profile.id)
    return matching


def history_of(records: Sequence[RecordedEvent], profile: ResolvedProfile) -> oracle.History | None:
    """Returns a profile's history; None if it has no events."""
    events, states, lists = [], {}, {}
    for record in records:
        event = record.event
        if record.stream not in profile.streams:
            continue
        if isinstance(event, ManualListChanged):
            lists[event.segment] = event.listed
        elif isinstance(event, MessageEvent) and event.kind not in profile_state.COMMAND_KINDS:
            parsed = payload.parse(event)
            at = to_micros(event.occurred_at)
            events.append(oracle.Event(at, parsed.name, parsed.properties))
            state = states.setdefault(record.stream, profile_state.ProfileState())
            profile_state.add(state, event, parsed)
    if not events:
        return None
    merged = profile_state.merge(states, profile)
    attributes = profile_view.attributes(merged)
    return oracle.History(
        events,
        {key: msgspec.json.decode(value) for key, value in attributes.items()},
        frozenset(profile_view.tags(merged)),
        frozenset(identifier.kind for identifier in profile.identifiers),
        frozenset(segment for segment, listed in lists.items() if listed),
    )
