"""What a batch says about who is who."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.core import sanitise
from domain.core.identifiers import Identifier
from domain.events.events import IdentifiersLinked, Merged, Unmerged
from domain.identity.resolution import Absorbed, Fact, Linked, Separated, facts_of, joined, named
from projections.identity.store import Pair
from projections.runtime.batch import Batch

_TELLING = (IdentifiersLinked, Merged, Unmerged)


class Said(NamedTuple):
    """What the batch's events say."""

    links: dict[Pair, datetime]
    """When each was first shown."""

    decisions: list[tuple[UUID, Absorbed | Separated]]
    """Each with the event that says so."""

    streams: dict[Identifier, UUID]
    """The streams of all who are named."""

    @property
    def parts(self) -> bool:
        """Whether it takes anybody apart."""
        return any(isinstance(fact, Separated) for _, fact in self.decisions)


def said_in(batch: Batch) -> Said:
    """Return what the batch says.  A fact that names an impossible identifier says nothing."""
    said = Said({}, [], {})
    for recorded in batch.records:
        event = recorded.event
        if isinstance(event, _TELLING):
            for fact in facts_of(event):
                if _is_storable(fact):
                    _add(said, event.id, fact, batch)
    return said


def rows(said: Said) -> Iterator[tuple[Any, ...]]:
    """Return the decisions as rows of `decision`, without their workspace."""
    for event, fact in said.decisions:
        if isinstance(fact, Absorbed):
            yield _row(said.streams, event, fact.at, fact.primary, fact.secondary, fact)
        else:
            for other in fact.apart_from:
                yield _row(said.streams, event, fact.at, fact.identifier, other, None)


def _is_storable(fact: Fact) -> bool:
    return all(sanitise.text(it.value) == it.value for it in named(fact))


def _add(said: Said, event: UUID, fact: Fact, batch: Batch) -> None:
    streams = said.streams
    for identifier in named(fact):
        if identifier not in streams:
            streams[identifier] = batch.stream_of(identifier)
    if isinstance(fact, Linked):
        if pair := joined(fact):
            left, right = sorted(pair)
            between = streams[left], streams[right]
            said.links[between] = min(fact.at, said.links.get(between, fact.at))
    elif isinstance(fact, Absorbed) and not joined(fact):
        # A name that never joins is nobody's: the other was heard of, no more.
        said.decisions.append((event, fact._replace(secondary=fact.primary)))
    else:
        said.decisions.append((event, fact))


def _row(  # noqa: PLR0917 - what a row is made of
    streams: Mapping[Identifier, UUID],
    event: UUID,
    at: datetime,
    subject: Identifier,
    other: Identifier,
    merge: Absorbed | None,
) -> tuple[Any, ...]:
    how = (True, merge.policy, merge.certain) if merge else (False, "", True)
    return (streams[subject], streams[other], event, at, *how, *subject, *other)
