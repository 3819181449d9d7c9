"""What a batch says about who is who."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.events.events import IdentifiersLinked, ProfilesMerged, ProfilesUnmerged
from domain.identity.resolution import (
    IdentityFact,
    LinkFact,
    MergeFact,
    UnmergeFact,
    facts_from_event,
    identifiers_in,
    joined_pair,
)
from projections.identity.store import StreamPair
from projections.runtime.batch import Batch

_IDENTITY_EVENTS = (IdentifiersLinked, ProfilesMerged, ProfilesUnmerged)


class IdentityFacts(NamedTuple):
    """What the batch's events say."""

    links: dict[StreamPair, datetime]
    """When each was first shown."""

    decisions: list[tuple[UUID, MergeFact | UnmergeFact]]
    """Each with the event that says so."""

    streams: dict[Identifier, UUID]
    """The streams of all who are named."""

    @property
    def has_unmerges(self) -> bool:
        """Whether it takes anybody apart."""
        return any(isinstance(fact, UnmergeFact) for _, fact in self.decisions)


def facts_in_batch(batch: Batch) -> IdentityFacts:
    """Return what the batch says.  A fact that names an impossible identifier says nothing."""
    said = IdentityFacts({}, [], {})
    for recorded in batch.records:
        event = recorded.event
        if isinstance(event, _IDENTITY_EVENTS):
            for fact in facts_from_event(event):
                if _is_storable(fact):
                    _add_fact(said, event.id, fact, batch)
    return said


def decision_rows(facts: IdentityFacts) -> Iterator[tuple[Any, ...]]:
    """Return the decisions as rows of `decision`, without their workspace."""
    for event, fact in facts.decisions:
        if isinstance(fact, MergeFact):
            yield _row(facts.streams, event, fact.at, fact.primary, fact.secondary, fact)
        else:
            for other in fact.apart_from:
                yield _row(facts.streams, event, fact.at, fact.identifier, other, None)


def _is_storable(fact: IdentityFact) -> bool:
    return all(sanitise.storable_text(it.value) == it.value for it in identifiers_in(fact))


def _add_fact(facts: IdentityFacts, event: UUID, fact: IdentityFact, batch: Batch) -> None:
    streams = facts.streams
    for identifier in identifiers_in(fact):
        if identifier not in streams:
            streams[identifier] = batch.stream_of(identifier)
    if isinstance(fact, LinkFact):
        if pair := joined_pair(fact):
            left, right = sorted(pair)
            between = streams[left], streams[right]
            facts.links[between] = min(fact.at, facts.links.get(between, fact.at))
    elif isinstance(fact, MergeFact) and not joined_pair(fact):
        # A name that never joins is nobody's: the other was heard of, no more.
        facts.decisions.append((event, fact._replace(secondary=fact.primary)))
    else:
        facts.decisions.append((event, fact))


def _row(  # noqa: PLR0917 - what a row is made of
    streams: Mapping[Identifier, UUID],
    event: UUID,
    at: datetime,
    subject: Identifier,
    other: Identifier,
    merge: MergeFact | None,
) -> tuple[Any, ...]:
    how = (True, merge.policy, merge.certain) if merge else (False, "", True)
    return (streams[subject], streams[other], event, at, *how, *subject, *other)
