"""Turns a run of events into what happens to people, step by step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import EventView
from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.core.ledger_time import Cause
from domain.core.time import to_micros
from domain.evaluation.inputs import EventInput, IdentityChange, ListChange
from domain.evaluation.profile_context import StreamOwner, StreamState
from domain.evaluation.segment_index import SegmentIndex
from domain.events.events import (
    Event,
    IdentifiersLinked,
    ManualListChanged,
    MessageEvent,
    ProfilesMerged,
    ProfilesUnmerged,
)
from domain.events.recorded import RecordedEvent
from domain.identity.incremental import IncrementalResolver
from domain.identity.resolution import IdentityFact, LinkFact, facts_from_event, identifiers_in
from domain.profiles.state import COMMAND_KINDS
from projections.runtime.batch import DecodedMessage

RULE_ACTION_SOURCE = "foldline"
"""The source of what actions of rules record."""


class _RuleMarker(msgspec.Struct, frozen=True):
    depth: int = 0


class _Context(msgspec.Struct, frozen=True):
    foldline: _RuleMarker = _RuleMarker()


class _ActionPayload(msgspec.Struct, frozen=True):
    context: _Context = _Context()


_decode_action_payload = msgspec.json.Decoder(_ActionPayload).decode

StreamOf = Callable[[Identifier], UUID]
_IDENTITY_EVENTS = (IdentifiersLinked, ProfilesMerged, ProfilesUnmerged)


class RecordedIdentityFact(NamedTuple):
    """A fact about who is who, and where the ledger has it."""

    position: int
    fact: IdentityFact
    streams: frozenset[UUID]
    """Those of all who are named."""


def streams_in_identity_events(
    records: Iterable[RecordedEvent], stream_of: StreamOf
) -> frozenset[UUID]:
    """Return the streams of all who are named by what the events say about who is who."""
    events = {it.position: it.event for it in records if isinstance(it.event, _IDENTITY_EVENTS)}
    return frozenset().union(*(it.streams for it in read_identity_facts(events, stream_of)))


def read_identity_facts(
    events: Mapping[int, Event | None], stream_of: StreamOf
) -> Iterator[RecordedIdentityFact]:
    """Give out what events say about who is who, in the order of their positions.

    A fact that names an impossible identifier says nothing, as in the read model of identity.
    """
    for position, event in sorted(events.items()):
        for fact in facts_from_event(event) if event is not None else ():
            if all(sanitise.is_storable_text(it.value) for it in identifiers_in(fact)):
                yield RecordedIdentityFact(
                    position, fact, frozenset(map(stream_of, identifiers_in(fact)))
                )


def derive_inputs(
    records: Sequence[RecordedEvent],
    messages: Mapping[int, DecodedMessage],
    index: SegmentIndex,
    known_streams: Mapping[UUID, StreamState],
) -> Iterator[EventInput | ListChange]:
    """Give out what happens to whom, but for who is who; what changes nothing is left out."""
    for recorded in records:
        at = Cause(to_micros(recorded.recorded_at), recorded.position)
        if isinstance(recorded.event, ManualListChanged):
            key = f"list:{recorded.event.segment}"
            if key in index.accumulators:
                yield ListChange(at, recorded.stream, key, recorded.event.listed)
        elif (message := messages.get(recorded.position)) is not None:
            event, document = message.event, message.document
            if event.subject is None or event.kind in COMMAND_KINDS:
                continue
            occurred, stream = to_micros(event.occurred_at), known_streams.get(recorded.stream)
            if (
                _is_seen_since(stream, occurred)
                and not index.keys_for(event.kind, document.name)
                and not index.rule_index.listens_to(document.name)
            ):
                continue
            happened = EventView(
                occurred,
                event.id.bytes,
                document.name,
                {"properties": document.properties},
                at.at,
            )
            depth = rule_depth(event) if index.rule_index else 0
            yield EventInput(at, recorded.stream, event.subject.kind, event.kind, happened, depth)


def rule_depth(event: MessageEvent) -> int:
    """Return how many rules led to an event, one after the other: their actions say so."""
    if event.source != RULE_ACTION_SOURCE:
        return 0
    try:
        return _decode_action_payload(event.payload).context.foldline.depth
    except msgspec.MsgspecError:
        return 0


def _is_seen_since(stream: StreamState | None, occurred: int) -> bool:
    return (
        stream is not None
        and stream.first_event_at is not None
        and stream.first_event_at <= occurred
    )


def derive_identity_changes(
    facts: Sequence[RecordedIdentityFact], recorded_times: Mapping[int, int], stream_of: StreamOf
) -> Iterator[IdentityChange]:
    """Give out who those are whom each of the facts concerns that is among the events at hand.

    ``clocks`` has the time of each event at hand, by position.
    """
    said: dict[int, list[IdentityFact]] = defaultdict(list)
    for it in facts:
        if it.position in recorded_times:
            said[it.position].append(it.fact)
    unfolding = IncrementalResolver(it.fact for it in facts if it.position not in recorded_times)
    for position, at_once in sorted(said.items()):
        last = at_once[-1]
        components = unfolding.add_facts(at_once)
        yield IdentityChange(
            Cause(recorded_times[position], position),
            {
                stream_of(identifier): StreamOwner(
                    stream_of(component.canonical),
                    identifier.kind,
                    identifier in component.guessed,
                    component.demoted.get(identifier),
                )
                for identifier, component in components.items()
            },
            to_micros(last.at) if isinstance(last, LinkFact) else None,
        )
