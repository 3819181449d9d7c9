"""Facts about identity: which identifiers belong together, and which do not."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from domain.core.identifiers import Identifier, is_blocked
from domain.events.events import Event, IdentifiersLinked, ProfilesMerged, ProfilesUnmerged
from domain.events.message import MergePolicy


class LinkFact(NamedTuple):
    """A message carried two identifiers together; ``at`` is the earliest known time."""

    at: datetime
    left: Identifier
    right: Identifier


class MergeFact(NamedTuple):
    """A source or an operator merged ``secondary`` into the profile of ``primary``."""

    at: datetime
    primary: Identifier
    secondary: Identifier
    policy: MergePolicy = "latest"
    certain: bool = True
    """Whether ``secondary`` exists: an alias does not tell of which kind its previous id is."""


class UnmergeFact(NamedTuple):
    """An operator separated ``identifier`` from these others."""

    at: datetime
    identifier: Identifier
    apart_from: frozenset[Identifier]


IdentityFact = LinkFact | MergeFact | UnmergeFact


def facts_from_event(event: Event) -> tuple[IdentityFact, ...]:
    """Returns the identity facts of an event; none for events of other classes."""
    if isinstance(event, IdentifiersLinked):
        return (LinkFact(event.occurred_at, event.left, event.right),)
    if isinstance(event, ProfilesMerged) and event.subject is not None:
        certain = len(event.absorbed) == 1
        merges = (
            MergeFact(event.occurred_at, event.subject, secondary, event.policy, certain)
            for secondary in event.absorbed
        )
        return tuple(merge for merge in merges if joined_pair(merge))
    if isinstance(event, ProfilesUnmerged) and event.subject is not None and event.apart_from:
        return (UnmergeFact(event.occurred_at, event.subject, frozenset(event.apart_from)),)
    return ()


def identifiers_in(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Returns the identifiers that a fact names."""
    if isinstance(fact, LinkFact):
        return (fact.left, fact.right)
    if isinstance(fact, MergeFact):
        return (fact.primary, fact.secondary)
    return (fact.identifier, *fact.apart_from)


def joined_pair(fact: IdentityFact) -> tuple[Identifier, Identifier] | None:
    """Returns the pair that a fact may join; None if it joins nothing."""
    if isinstance(fact, UnmergeFact):
        return None
    _, left, right, *_ = fact
    if left == right or is_blocked(left) or is_blocked(right):
        return None
    return left, right


LinkPair = tuple[Identifier, Identifier]
"""Two linked identifiers, the smaller one first."""


def link_pair(fact: IdentityFact) -> LinkPair | None:
    """Returns the pair that a link may join; None for other facts and for links of no use."""
    pair = joined_pair(fact) if isinstance(fact, LinkFact) else None
    return pair if pair is None or pair[0] < pair[1] else (pair[1], pair[0])


def existing_identifiers(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Returns the identifiers that a fact confirms to exist: of an unmerge, only its subject."""
    if isinstance(fact, LinkFact):
        return (fact.left, fact.right)
    return joined_pair(fact) or identifiers_in(fact)[:1]


def guessed_identifiers(facts: Iterable[IdentityFact]) -> AbstractSet[Identifier]:
    """Returns the identifiers that an alias guessed and no fact confirms."""
    listed = list(facts)
    guessed = {
        fact.secondary for fact in listed if isinstance(fact, MergeFact) and not fact.certain
    }
    return guessed.difference(*map(certain_identifiers, listed))


def certain_identifiers(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Returns the identifiers that a fact confirms with certainty."""
    if isinstance(fact, UnmergeFact):
        return ()
    if isinstance(fact, MergeFact) and not fact.certain:
        return (fact.primary,)
    return identifiers_in(fact)
