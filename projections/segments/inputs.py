"""Turns recorded events into inputs of the evaluation engine."""

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
from domain.identity.claims import Claim
from domain.identity.facts import IdentityFact, LinkFact, facts_from_event, identifiers_in
from domain.identity.incremental import IncrementalResolver
from domain.profiles.state import COMMAND_KINDS
from projections.runtime.batch import DecodedMessage

RULE_ACTION_SOURCE = "foldline"
"""Source of the messages that actions of rules record."""


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
    """An identity fact and its position in the ledger."""

    position: int
    fact: IdentityFact
    streams: frozenset[UUID]
    """Streams of all identifiers in it."""


def facts_in_records(
    records: Iterable[RecordedEvent], stream_of: StreamOf
) -> list[RecordedIdentityFact]:
    """Returns the identity facts in records."""
    events = {
        record.position: record.event
        for record in records
        if isinstance(record.event, _IDENTITY_EVENTS)
    }
    return list(read_identity_facts(events, stream_of))


def read_identity_facts(
    events: Mapping[int, Event | None], stream_of: StreamOf
) -> Iterator[RecordedIdentityFact]:
    """Yields the identity facts in events, in the order of their positions.

    Ignores a fact with an identifier that cannot be stored, as the identity read model does.
    """
    for position, event in sorted(events.items()):
        for fact in facts_from_event(event) if event is not None else ():
            identifiers = identifiers_in(fact)
            if all(sanitise.is_storable_text(identifier.value) for identifier in identifiers):
                yield RecordedIdentityFact(position, fact, frozenset(map(stream_of, identifiers)))


def derive_inputs(
    records: Sequence[RecordedEvent],
    messages: Mapping[int, DecodedMessage],
    index: SegmentIndex,
    known_streams: Mapping[UUID, StreamState],
) -> Iterator[EventInput | ListChange]:
    """Yields the event inputs and list changes of records, without those that cannot matter."""
    for recorded in records:
        cause = Cause(to_micros(recorded.recorded_at), recorded.position)
        if isinstance(recorded.event, ManualListChanged):
            key = f"list:{recorded.event.segment}"
            if key in index.accumulators:
                yield ListChange(cause, recorded.stream, key, recorded.event.listed)
        elif (message := messages.get(recorded.position)) is not None:
            event, document = message.event, message.document
            if event.subject is None or event.kind in COMMAND_KINDS:
                continue
            occurred_at, stream = to_micros(event.occurred_at), known_streams.get(recorded.stream)
            if (
                _has_event_by(stream, occurred_at)
                and not index.message_readers.keys_for(event.kind, document.name)
                and not index.rule_index.listens_to(document.name)
            ):
                continue
            view = EventView(
                occurred_at,
                event.id.bytes,
                document.name,
                {"properties": document.properties},
                cause.at,
            )
            depth = rule_depth(event) if index.rule_index else 0
            yield EventInput(cause, recorded.stream, event.subject.kind, event.kind, view, depth)


def rule_depth(event: MessageEvent) -> int:
    """Returns how many rules led to an event, one after the other, as the last action noted it."""
    if event.source != RULE_ACTION_SOURCE:
        return 0
    try:
        return _decode_action_payload(event.payload).context.foldline.depth
    except msgspec.MsgspecError:
        return 0


def _has_event_by(stream: StreamState | None, occurred_at: int) -> bool:
    return (
        stream is not None
        and stream.first_event_at is not None
        and stream.first_event_at <= occurred_at
    )


class IdentityChanges(NamedTuple):
    """What the identity facts of a batch change."""

    changes: Sequence[IdentityChange]
    """In the order of the ledger."""

    claim_limits: Mapping[UUID, Claim]
    """The last counting claim of each stream's identifier that has as many as count."""


def derive_identity_changes(
    facts: Sequence[RecordedIdentityFact], recorded_times: Mapping[int, int], stream_of: StreamOf
) -> IdentityChanges:
    """Returns the identity changes that the facts of a batch cause.

    ``recorded_times`` has the time of each event of the batch by position, in microseconds; facts at other
    positions were applied before.
    """
    new: dict[int, list[IdentityFact]] = defaultdict(list)
    for position, fact, _ in facts:
        if position in recorded_times:
            new[position].append(fact)
    resolver = IncrementalResolver(
        fact for position, fact, _ in facts if position not in recorded_times
    )
    changes = []
    for position, facts_of_event in sorted(new.items()):
        last = facts_of_event[-1]
        owners = {
            stream_of(identifier): StreamOwner(
                stream_of(resolved.canonical),
                identifier.kind,
                resolved.guessed,
                resolved.demoted_at,
            )
            for identifier, resolved in resolver.add_facts(facts_of_event).items()
        }
        linked_at = to_micros(last.at) if isinstance(last, LinkFact) else None
        if owners:
            changes.append(
                IdentityChange(Cause(recorded_times[position], position), owners, linked_at)
            )
    limits = resolver.claim_limits()
    return IdentityChanges(changes, {stream_of(i): claim for i, claim in limits.items()})
