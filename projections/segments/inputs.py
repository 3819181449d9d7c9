"""Turns a run of events into what happens to people, step by step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.conditions import Happened
from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.core.ledger_time import Since
from domain.core.time import to_micros
from domain.evaluation.inputs import Became, Did, Said
from domain.evaluation.profile_context import Stream, Whose
from domain.evaluation.segment_index import Rules
from domain.events.events import Event, IdentifiersLinked, Listed, Merged, MessageEvent, Unmerged
from domain.events.recorded import Recorded
from domain.identity.incremental import Unfolding
from domain.identity.resolution import Fact, Linked, facts_of, named
from domain.profiles.state import DECISIONS
from projections.runtime.batch import Message

BY_RULES = "foldline"
"""The source of what actions of rules record."""


class _By(msgspec.Struct, frozen=True):
    depth: int = 0


class _Context(msgspec.Struct, frozen=True):
    foldline: _By = _By()


class _Said(msgspec.Struct, frozen=True):
    context: _Context = _Context()


_said = msgspec.json.Decoder(_Said).decode

StreamOf = Callable[[Identifier], UUID]
_TELLING = (IdentifiersLinked, Merged, Unmerged)


class Attested(NamedTuple):
    """A fact about who is who, and where the ledger has it."""

    position: int
    fact: Fact
    streams: frozenset[UUID]
    """Those of all who are named."""


def told_in(records: Iterable[Recorded], stream_of: StreamOf) -> frozenset[UUID]:
    """Return the streams of all who are named by what the events say about who is who."""
    events = {it.position: it.event for it in records if isinstance(it.event, _TELLING)}
    return frozenset().union(*(it.streams for it in attested(events, stream_of)))


def attested(events: Mapping[int, Event | None], stream_of: StreamOf) -> Iterator[Attested]:
    """Give out what events say about who is who, in the order of their positions.

    A fact that names an impossible identifier says nothing, as in the read model of identity.
    """
    for position, event in sorted(events.items()):
        for fact in facts_of(event) if event is not None else ():
            if all(sanitise.is_text(it.value) for it in named(fact)):
                yield Attested(position, fact, frozenset(map(stream_of, named(fact))))


def steps_of(
    records: Sequence[Recorded],
    messages: Mapping[int, Message],
    rules: Rules,
    known: Mapping[UUID, Stream],
) -> Iterator[Did | Said]:
    """Give out what happens to whom, but for who is who; what changes nothing is left out."""
    for recorded in records:
        at = Since(to_micros(recorded.recorded_at), recorded.position)
        if isinstance(recorded.event, Listed):
            key = f"list:{recorded.event.segment}"
            if key in rules.memories:
                yield Said(at, recorded.stream, key, recorded.event.listed)
        elif (message := messages.get(recorded.position)) is not None:
            event, document = message.event, message.document
            if event.subject is None or event.kind in DECISIONS:
                continue
            occurred, stream = to_micros(event.occurred_at), known.get(recorded.stream)
            if (
                _adds_nothing(stream, occurred)
                and not rules.watching(event.kind, document.name)
                and not rules.effective.listens(document.name)
            ):
                continue
            happened = Happened(
                occurred,
                event.id.bytes,
                document.name,
                {"properties": document.properties},
                at.at,
            )
            depth = depth_of(event) if rules.effective else 0
            yield Did(at, recorded.stream, event.subject.kind, event.kind, happened, depth)


def depth_of(event: MessageEvent) -> int:
    """Return how many rules led to an event, one after the other: their actions say so."""
    if event.source != BY_RULES:
        return 0
    try:
        return _said(event.payload).context.foldline.depth
    except msgspec.MsgspecError:
        return 0


def _adds_nothing(stream: Stream | None, occurred: int) -> bool:
    return stream is not None and stream.first_at is not None and stream.first_at <= occurred


def becoming(
    facts: Sequence[Attested], clocks: Mapping[int, int], stream_of: StreamOf
) -> Iterator[Became]:
    """Give out who those are whom each of the facts concerns that is among the events at hand.

    ``clocks`` has the time of each event at hand, by position.
    """
    said: dict[int, list[Fact]] = defaultdict(list)
    for it in facts:
        if it.position in clocks:
            said[it.position].append(it.fact)
    unfolding = Unfolding(it.fact for it in facts if it.position not in clocks)
    for position, at_once in sorted(said.items()):
        last = at_once[-1]
        components = unfolding.learn(at_once)
        yield Became(
            Since(clocks[position], position),
            {
                stream_of(identifier): Whose(
                    stream_of(component.canonical),
                    identifier.kind,
                    identifier in component.guessed,
                    component.demoted.get(identifier),
                )
                for identifier, component in components.items()
            },
            to_micros(last.at) if isinstance(last, Linked) else None,
        )
