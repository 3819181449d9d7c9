"""Identity resolution: a pure function of the set of facts, in whatever order they arrive.

There are three kinds of fact.  A *link*: a message carried two identifiers together.  A *merge*: one
profile absorbs another.  An *unmerge*: an identifier does not belong to the same profile as some others.

Facts are applied in the order in which they occurred:

1. Merges join any two identifiers, except a pair that a later unmerge separated.
2. Links join, earliest first, unless that would join two ``user_id``s that no merge has joined.  So an
   ``anonymous_id`` joins the first ``user_id`` that claims it, and a device shared by two customers does
   not join their profiles.  A link never joins a separated pair, not even a later link, because a browser
   continues to send both identifiers with every event.  Only a merge after the unmerge joins it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from domain.core.identifiers import KINDS_BY_STRENGTH, Identifier, is_blocked
from domain.events.events import Event, IdentifiersLinked, ProfilesMerged, ProfilesUnmerged
from domain.events.message import MergePolicy
from domain.identity.union_find import IdentifierSets

LARGE_COMPONENT = 100
"""Number of identifiers from which on a component is reported as suspiciously large."""


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


class Component(NamedTuple):
    """The identifiers of one profile."""

    canonical: Identifier
    """The identifier whose stream is the profile's id: see `_canonical`."""

    members: frozenset[Identifier]

    demoted: Mapping[Identifier, datetime]
    """Members whose values up to an instant only fill the gaps of the others."""

    guessed: frozenset[Identifier]
    """Members that may not exist: only an alias named them, as one of the kinds it may have meant."""

    @property
    def is_large(self) -> bool:
        """Whether it has more identifiers than one customer plausibly has."""
        return len(self.members) >= LARGE_COMPONENT


IdentityFact = LinkFact | MergeFact | UnmergeFact


class Resolution(NamedTuple):
    """Result of resolving a set of facts."""

    components: Mapping[Identifier, Component]
    """The component of each existing identifier."""

    inactive_links: frozenset[LinkFact]
    """Links with a ``user_id`` in the component of either side, so that they join nothing.

    More links and merges can only bring those user ids in earlier, so only an unmerge can activate
    such a link.
    """


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


def resolve_components(facts: Iterable[IdentityFact]) -> Mapping[Identifier, Component]:
    """Returns the component of each identifier that the facts confirm to exist.

    An identifier that no fact names is a profile of its own.
    """
    return resolve_facts(facts).components


def resolve_facts(facts: Iterable[IdentityFact]) -> Resolution:
    """Returns the components of a set of facts, and its inactive links."""
    distinct = set(facts)
    separations = separations_in(distinct)
    return resolve_joins(
        {identifier for fact in distinct for identifier in existing_identifiers(fact)},
        [fact for fact in distinct if joins_identifiers(fact, separations)],
        guessed_identifiers(distinct),
    )


def resolve_joins(
    identifiers: Iterable[Identifier],
    joining: Iterable[IdentityFact],
    guessed: AbstractSet[Identifier],
) -> Resolution:
    """Returns the resolution of existing identifiers, given only facts that may join them."""
    joins = list(joining)
    merges = sorted(fact for fact in joins if isinstance(fact, MergeFact))
    links = sorted(fact for fact in joins if isinstance(fact, LinkFact))
    sets = IdentifierSets(identifiers)
    for merge in merges:
        sets.union(merge.primary, merge.secondary)
    inactive = set()
    for link in links:
        if sets.user_id_count(link.left) and sets.user_id_count(link.right):
            inactive.add(link)
        else:
            sets.union(link.left, link.right)
    effects = _merge_effects(sets, (link for link in links if link not in inactive), merges)
    return Resolution(_components(sets, effects, guessed), frozenset(inactive))


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


def existing_identifiers(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Returns the identifiers that a fact confirms to exist: of an unmerge, only its subject."""
    if isinstance(fact, LinkFact):
        return (fact.left, fact.right)
    return joined_pair(fact) or identifiers_in(fact)[:1]


Separations = Mapping[frozenset[Identifier], datetime]
"""Pairs that unmerges separated, with the time of the latest separation."""


def separations_in(facts: Iterable[IdentityFact]) -> Separations:
    """Returns the pairs that the unmerges among the facts separated."""
    latest: dict[frozenset[Identifier], datetime] = {}
    for fact in facts:
        if isinstance(fact, UnmergeFact):
            for other in fact.apart_from:
                pair = frozenset((fact.identifier, other))
                latest[pair] = max(fact.at, latest.get(pair, fact.at))
    return latest


def joins_identifiers(fact: IdentityFact, separations: Separations) -> bool:
    """Returns whether a fact joins its pair; a link may still turn out inactive."""
    pair = joined_pair(fact)
    if pair is None:
        return False
    since = separations.get(frozenset(pair))
    return since is None or (isinstance(fact, MergeFact) and fact.at > since)


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


class _MergeEffects(NamedTuple):
    """Identifiers that merges absorbed, and those that merges with policy ``primary`` demoted."""

    absorbed: set[Identifier]
    demoted: dict[Identifier, datetime]


def _merge_effects(
    sets: IdentifierSets, links: Iterable[LinkFact], merges: Sequence[MergeFact]
) -> _MergeEffects:
    """Returns the effects of merges: each absorbs the secondary's component at that time.

    That component is what active links of any time and earlier merges join with the secondary.
    """
    effects = _MergeEffects(set(), {})
    if not merges:
        return effects
    linked = sets.singletons()
    for link in links:
        linked.union(link.left, link.right)
    members = linked.sets()
    for merge in merges:
        primary_root, secondary_root = linked.find(merge.primary), linked.find(merge.secondary)
        absorbed = {merge.secondary}
        if primary_root != secondary_root:
            absorbed = members.pop(secondary_root)
            effects.absorbed.update(absorbed)
            linked.union(primary_root, secondary_root)
            merged = members.pop(primary_root)
            merged |= absorbed
            members[linked.find(primary_root)] = merged
        if merge.policy == "primary":
            # Merges are in order of time, so the last one counts.
            effects.demoted.update(dict.fromkeys(absorbed, merge.at))
    return effects


def _components(
    sets: IdentifierSets, effects: _MergeEffects, guessed: AbstractSet[Identifier]
) -> Mapping[Identifier, Component]:
    components: dict[Identifier, Component] = {}
    demoted = effects.demoted
    for members in sets.sets().values():
        component = Component(
            _canonical(members - guessed or members, effects.absorbed),
            frozenset(members),
            {member: demoted[member] for member in sorted(members) if member in demoted},
            frozenset(members & guessed),
        )
        components.update(dict.fromkeys(members, component))
    return components


def _canonical(members: Iterable[Identifier], absorbed: set[Identifier]) -> Identifier:
    """Returns the strongest identifier that no merge absorbed; of several, the first by value."""
    return min(
        members,
        key=lambda member: (
            member in absorbed,
            KINDS_BY_STRENGTH.index(member.kind),
            member.value,
        ),
    )
