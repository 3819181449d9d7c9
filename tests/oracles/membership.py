"""Who is in a segment, by the oracle of conditions over each profile's whole history."""

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
from domain.identity.resolution import facts_from_event, resolve_components
from domain.identity.resolved_profile import ResolvedProfile, profile_of_component
from domain.profiles import state as profile_state
from domain.profiles import view as profile_view
from tests.integration.projections.history import stream_of
from tests.oracles import conditions as oracle


def members(stays: Sequence[Any], segment: str, clock: int) -> set[UUID]:
    return {
        stay.profile
        for stay in stays
        if stay.segment == segment
        and stay.entered_at <= clock
        and (stay.left_at is None or clock < stay.left_at)
    }


def profiles_by_stream(records: Sequence[RecordedEvent]) -> Mapping[UUID, ResolvedProfile]:
    """Return the persons whom the events are about, by their streams."""
    facts = [fact for it in records if it.event for fact in facts_from_event(it.event)]
    persons = [profile_of_component(it, stream_of) for it in resolve_components(facts).values()]
    found = {stream: person for person in persons for stream in person.streams}
    for it in records:
        if not isinstance(it.event, MessageEvent) or it.event.subject is None:
            continue
        if it.stream not in found:
            found[it.stream] = ResolvedProfile(it.stream, (it.event.subject,), (it.stream,), {})
    return found


def expected_members(
    records: Sequence[RecordedEvent], document: Any, clock: int, rules: Mapping[str, Any] = {}
) -> set[UUID]:
    """Say who meets the condition, by the oracle, of what the ledger has by the clock.

    ``rules`` are the conditions of other segments, that it may ask about.
    """
    known = [it for it in records if to_micros(it.recorded_at) <= clock]
    found = set()
    for person in {it.id: it for it in profiles_by_stream(known).values()}.values():
        past = history_of(known, person)
        if past is not None:
            inside = {name for name, rule in rules.items() if oracle.holds(rule, past, clock)}
            past = past._replace(segments=past.segments - rules.keys() | inside)
        if past is not None and oracle.holds(document, past, clock):
            found.add(person.id)
    return found


def history_of(known: Sequence[RecordedEvent], person: ResolvedProfile) -> oracle.History | None:
    events, states, lists = [], {}, {}
    for it in known:
        if it.stream not in person.streams:
            continue
        if isinstance(it.event, ManualListChanged):
            lists[it.event.segment] = it.event.listed
        elif (
            isinstance(it.event, MessageEvent) and it.event.kind not in profile_state.COMMAND_KINDS
        ):
            said = payload.parse(it.event)
            events.append(oracle.Event(to_micros(it.event.occurred_at), said.name, said.properties))
            state = states.setdefault(it.stream, profile_state.ProfileState())
            profile_state.add(state, it.event, said)
    if not events:
        return None
    whole = profile_state.merge(states, person)
    shown = profile_view.attributes(whole)
    return oracle.History(
        events,
        {key: msgspec.json.decode(value) for key, value in shown.items()},
        frozenset(profile_view.tags(whole)),
        frozenset(it.kind for it in person.identifiers),
        frozenset(it for it, listed in lists.items() if listed),
    )
