"""Facts about identity in a batch: links, merges and unmerges of identifiers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.events.events import IdentifiersLinked, ProfilesMerged, ProfilesUnmerged
from domain.identity.facts import (
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
    """Facts about identity, and the streams of the identifiers in them."""

    links: dict[StreamPair, datetime]
    """Pairs of streams whose identifiers appeared together, and when they first did."""

    decisions: list[tuple[UUID, MergeFact | UnmergeFact]]
    """Merges and unmerges, each with the id of its event."""

    streams: dict[Identifier, UUID]
    """Stream of every identifier in the facts."""

    @property
    def has_unmerges(self) -> bool:
        """Whether a decision separates identifiers."""
        return any(isinstance(fact, UnmergeFact) for _, fact in self.decisions)


def facts_in_batch(batch: Batch) -> IdentityFacts:
    """Returns the batch's facts.  A fact with an identifier that cannot be stored is left out."""
    facts = IdentityFacts({}, [], {})
    for recorded in batch.records:
        event = recorded.event
        if isinstance(event, _IDENTITY_EVENTS):
            for fact in facts_from_event(event):
                if _is_storable(fact):
                    _add_fact(facts, event.id, fact, batch)
    return facts


def decision_rows(facts: IdentityFacts) -> Iterator[tuple[Any, ...]]:
    """Returns the decisions as rows of `decision`, without the workspace."""
    for event, fact in facts.decisions:
        if isinstance(fact, MergeFact):
            yield _row(facts.streams, event, fact.at, fact.primary, fact.secondary, fact)
        else:
            for other in fact.apart_from:
                yield _row(facts.streams, event, fact.at, fact.identifier, other, None)


def _is_storable(fact: IdentityFact) -> bool:
    return all(sanitise.storable_text(i.value) == i.value for i in identifiers_in(fact))


def _add_fact(facts: IdentityFacts, event: UUID, fact: IdentityFact, batch: Batch) -> None:
    streams = facts.streams
    for identifier in identifiers_in(fact):
        if identifier not in streams:
            streams[identifier] = batch.stream_of(identifier)
    if isinstance(fact, LinkFact):
        if pair := joined_pair(fact):
            left, right = sorted(pair)
            stream_pair = streams[left], streams[right]
            facts.links[stream_pair] = min(fact.at, facts.links.get(stream_pair, fact.at))
    elif isinstance(fact, MergeFact) and not joined_pair(fact):
        # An identifier that never merges belongs to no profile: the fact only shows that the other exists.
        facts.decisions.append((event, fact._replace(secondary=fact.primary)))
    else:
        facts.decisions.append((event, fact))


def _row(  # noqa: PLR0917 - the columns of a row
    streams: Mapping[Identifier, UUID],
    event: UUID,
    at: datetime,
    subject: Identifier,
    other: Identifier,
    merge: MergeFact | None,
) -> tuple[Any, ...]:
    decision = (True, merge.policy, merge.certain) if merge else (False, "", True)
    return (streams[subject], streams[other], event, at, *decision, *subject, *other)
