"""Who is who: a pure function of what was said, never of the order in which it arrived.

Three kinds of fact.  A *link* says that two identifiers were shown together.  A *merge* says that one
absorbs another.  An *unmerge* says that one is not the same person as some others.

Facts are weighed in the order in which they occurred:

1. merges join, whatever they join, except pairs that a later unmerge took apart;
2. links join, earliest first, unless that would put two ``user_id``s together that no merge has put
   together.  So an ``anonymous_id`` joins the first ``user_id`` that claims it, and a device that
   two people share does not make one person of them.  Of a pair that was taken apart no link holds,
   not even a later one: a browser goes on showing both names with every event.  Only a merge, said
   after the unmerge, joins them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from domain.core.identifiers import KINDS_BY_STRENGTH, Identifier, is_blocked
from domain.events.events import Event, IdentifiersLinked, ProfilesMerged, ProfilesUnmerged
from domain.events.message import MergePolicy
from domain.identity.union_find import UnionFind

LARGE_COMPONENT = 100
"""Identifiers in one component from which on it is reported: nobody has that many names."""


class LinkFact(NamedTuple):
    """Two identifiers were shown together; ``at`` is the earliest time that it is known of."""

    at: datetime
    left: Identifier
    right: Identifier


class MergeFact(NamedTuple):
    """A source or a person said that ``secondary`` is the same person as ``primary``."""

    at: datetime
    primary: Identifier
    secondary: Identifier
    policy: MergePolicy = "latest"
    certain: bool = True
    """Whether there is such an identifier: an alias does not say which kind its previous id is of."""


class UnmergeFact(NamedTuple):
    """A person decided that ``identifier`` is somebody else than these others."""

    at: datetime
    identifier: Identifier
    apart_from: frozenset[Identifier]


class Component(NamedTuple):
    """The identifiers of one person."""

    canonical: Identifier
    """The one whose stream names the person: see `_canonical`."""

    members: frozenset[Identifier]

    demoted: Mapping[Identifier, datetime]
    """Those whose word, up to that instant, only fills the gaps of the others."""

    guessed: frozenset[Identifier]
    """Those that may not exist: only an alias named them, as one of the kinds that it may have meant."""

    @property
    def is_large(self) -> bool:
        """Say whether it has more names than a person can have."""
        return len(self.members) >= LARGE_COMPONENT


IdentityFact = LinkFact | MergeFact | UnmergeFact


class Resolution(NamedTuple):
    """What a set of facts comes to."""

    components: Mapping[Identifier, Component]
    """The component of each identifier that the facts show to exist."""

    inactive_links: frozenset[LinkFact]
    """Links that found a ``user_id`` on either side, so that they join nothing.

    More links and merges can only make those meet earlier, so nothing but an unmerge can wake one.
    """


def facts_from_event(event: Event) -> tuple[IdentityFact, ...]:
    """Return what an event says about who is who."""
    if isinstance(event, IdentifiersLinked):
        return (LinkFact(event.occurred_at, event.left, event.right),)
    if isinstance(event, ProfilesMerged) and event.subject is not None:
        certain = len(event.absorbed) == 1
        said = (
            MergeFact(event.occurred_at, event.subject, it, event.policy, certain)
            for it in event.absorbed
        )
        return tuple(it for it in said if joined_pair(it))
    if isinstance(event, ProfilesUnmerged) and event.subject is not None and event.apart_from:
        return (UnmergeFact(event.occurred_at, event.subject, frozenset(event.apart_from)),)
    return ()


def resolve_components(facts: Iterable[IdentityFact]) -> Mapping[Identifier, Component]:
    """Return the component of each identifier that the facts show to exist.

    An identifier that no fact names is a person by itself.
    """
    return resolve_facts(facts).components


def resolve_facts(facts: Iterable[IdentityFact]) -> Resolution:
    """Return what the facts come to, and which of them came to nothing."""
    known = set(facts)
    apart = separations_in(known)
    return resolve_joins(
        {it for fact in known for it in existing_identifiers(fact)},
        [it for it in known if joins_identifiers(it, apart)],
        guessed_identifiers(known),
    )


def resolve_joins(
    identifiers: Iterable[Identifier],
    joining: Iterable[IdentityFact],
    guessed: AbstractSet[Identifier],
) -> Resolution:
    """Return what links and merges come to that join, of those who are known to exist."""
    told = list(joining)
    merges = sorted(it for it in told if isinstance(it, MergeFact))
    links = sorted(it for it in told if isinstance(it, LinkFact))
    groups = UnionFind(identifiers)
    for merge in merges:
        groups.union(merge.primary, merge.secondary)
    idle = set()
    for link in links:
        if groups.user_id_count(link.left) and groups.user_id_count(link.right):
            idle.add(link)
        else:
            groups.union(link.left, link.right)
    sides = _merge_effects(groups, (it for it in links if it not in idle), merges)
    return Resolution(_components(groups, sides, guessed), frozenset(idle))


def identifiers_in(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Return the identifiers that a fact names."""
    if isinstance(fact, LinkFact):
        return (fact.left, fact.right)
    if isinstance(fact, MergeFact):
        return (fact.primary, fact.secondary)
    return (fact.identifier, *fact.apart_from)


def joined_pair(fact: IdentityFact) -> tuple[Identifier, Identifier] | None:
    """Return the pair that a fact may join; None if it joins nothing."""
    if isinstance(fact, UnmergeFact):
        return None
    _, left, right, *_ = fact
    if left == right or is_blocked(left) or is_blocked(right):
        return None
    return left, right


def existing_identifiers(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Return whom a fact shows to exist: not those whom somebody is only kept apart from."""
    if isinstance(fact, LinkFact):
        return (fact.left, fact.right)
    return joined_pair(fact) or identifiers_in(fact)[:1]


Separations = Mapping[frozenset[Identifier], datetime]
"""The pairs that were taken apart, and when they last were."""


def separations_in(facts: Iterable[IdentityFact]) -> Separations:
    """Return the pairs that were taken apart."""
    latest: dict[frozenset[Identifier], datetime] = {}
    for fact in facts:
        if isinstance(fact, UnmergeFact):
            for other in fact.apart_from:
                pair = frozenset((fact.identifier, other))
                latest[pair] = max(fact.at, latest.get(pair, fact.at))
    return latest


def joins_identifiers(fact: IdentityFact, separations: Separations) -> bool:
    """Say whether a fact joins the two that it names, unless it comes to be idle."""
    pair = joined_pair(fact)
    if pair is None:
        return False
    since = separations.get(frozenset(pair))
    return since is None or (isinstance(fact, MergeFact) and fact.at > since)


def guessed_identifiers(facts: Iterable[IdentityFact]) -> AbstractSet[Identifier]:
    """Return those whom no fact shows for certain to exist."""
    known = list(facts)
    guessed = {it.secondary for it in known if isinstance(it, MergeFact) and not it.certain}
    return guessed.difference(*map(certain_identifiers, known))


def certain_identifiers(fact: IdentityFact) -> tuple[Identifier, ...]:
    """Return whom a fact shows for certain to exist."""
    if isinstance(fact, UnmergeFact):
        return ()
    if isinstance(fact, MergeFact) and not fact.certain:
        return (fact.primary,)
    return identifiers_in(fact)


class _MergeEffects(NamedTuple):
    """Who was absorbed by merges, and who was so with the policy that the primary's word counts."""

    absorbed: set[Identifier]
    demoted: dict[Identifier, datetime]


def _merge_effects(
    everybody: UnionFind, links: Iterable[LinkFact], merges: Sequence[MergeFact]
) -> _MergeEffects:
    """Return what each merge absorbed: all that was one with the secondary by then.

    That is what links join with it, whenever they were shown, and what earlier merges did.
    """
    sides = _MergeEffects(set(), {})
    if not merges:
        return sides
    groups = everybody.singletons()
    for link in links:
        groups.union(link.left, link.right)
    members = groups.groups()
    for merge in merges:
        one, other = groups.find(merge.primary), groups.find(merge.secondary)
        side = {merge.secondary}
        if one != other:
            side = members.pop(other)
            sides.absorbed.update(side)
            groups.union(one, other)
            whole = members.pop(one)
            whole |= side
            members[groups.find(one)] = whole
        if merge.policy == "primary":
            sides.demoted.update(dict.fromkeys(side, merge.at))  # in order of time: the last counts
    return sides


def _components(
    groups: UnionFind, sides: _MergeEffects, guessed: AbstractSet[Identifier]
) -> Mapping[Identifier, Component]:
    found: dict[Identifier, Component] = {}
    for group in groups.groups().values():
        component = Component(
            _canonical(group - guessed or group, sides.absorbed),
            frozenset(group),
            {it: sides.demoted[it] for it in sorted(group) if it in sides.demoted},
            frozenset(group & guessed),
        )
        found.update(dict.fromkeys(group, component))
    return found


def _canonical(group: Iterable[Identifier], absorbed: set[Identifier]) -> Identifier:
    """Return the strongest identifier that nothing absorbed; of several, the first by value."""
    return min(group, key=lambda it: (it in absorbed, KINDS_BY_STRENGTH.index(it.kind), it.value))
