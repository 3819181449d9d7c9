"""Identity resolution: a pure function of the set of facts, in whatever order they arrive.

There are three kinds of fact.  A *link*: a message carried two identifiers together.  A *merge*: one
profile absorbs another.  An *unmerge*: an identifier does not belong to the same profile as some others.

Facts are applied in the order in which they occurred:

1. Merges join any two identifiers, except a pair that a later unmerge separated.
2. Links join, earliest first, unless that would join two ``user_id``s that no merge has joined.  So an
   ``anonymous_id`` joins the first ``user_id`` that claims it, and a device shared by two customers does
   not join their profiles.  A link never joins a separated pair, not even a later link, because a browser
   continues to send both identifiers with every event.  Only a merge after the unmerge joins it again.

An identifier has at most `MAX_CLAIMS` automatic links: its first ones count, later ones join nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from domain.core.identifiers import KINDS_BY_STRENGTH, Identifier
from domain.identity.claims import capped_links
from domain.identity.facts import (
    IdentityFact,
    LinkFact,
    MergeFact,
    UnmergeFact,
    existing_identifiers,
    guessed_identifiers,
    joined_pair,
    link_pair,
)
from domain.identity.union_find import IdentifierSets

LARGE_COMPONENT = 100
"""Number of identifiers from which on a component is reported as suspiciously large."""


class Component(NamedTuple):
    """The identifiers of one profile."""

    canonical: Identifier
    """The identifier whose stream is the profile's id: see `canonical_of`."""

    members: frozenset[Identifier]

    demoted: Mapping[Identifier, datetime]
    """Members whose values up to an instant only fill the gaps of the others."""

    absorbed: frozenset[Identifier]
    """Members that a merge absorbed: while there are others, none of them is canonical."""

    guessed: frozenset[Identifier]
    """Members that may not exist: only an alias named them, as one of the kinds it may have meant."""

    is_capped: bool = False
    """Whether a member has more links than count."""

    @property
    def is_large(self) -> bool:
        """Whether it has more identifiers than one customer plausibly has."""
        return len(self.members) >= LARGE_COMPONENT


class Resolution(NamedTuple):
    """Result of resolving a set of facts."""

    components: Mapping[Identifier, Component]
    """The component of each existing identifier."""

    inactive_links: frozenset[LinkFact]
    """Links with a ``user_id`` in the component of either side, so that they join nothing.

    More links and merges can only bring those user ids in earlier, so only an unmerge can activate
    such a link.
    """


def resolve_components(
    facts: Iterable[IdentityFact], max_claims: int | None = None
) -> Mapping[Identifier, Component]:
    """Returns the component of each identifier that the facts confirm to exist.

    An identifier that no fact names is a profile of its own.
    """
    return resolve_facts(facts, max_claims).components


def resolve_facts(facts: Iterable[IdentityFact], max_claims: int | None = None) -> Resolution:
    """Returns the components of a set of facts, and its inactive links."""
    distinct = set(facts)
    separations, capped = separations_in(distinct), capped_links(distinct, max_claims)
    resolution = resolve_joins(
        {identifier for fact in distinct for identifier in existing_identifiers(fact)},
        [
            fact
            for fact in distinct
            if joins_identifiers(fact, separations) and link_pair(fact) not in capped.pairs
        ],
        guessed_identifiers(distinct),
    )
    components = dict(resolution.components)
    for holder in capped.holders:
        component = components[holder]._replace(is_capped=True)
        components.update(dict.fromkeys(component.members, component))
    return resolution._replace(components=components)


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
            canonical_of(members - guessed or members, effects.absorbed),
            frozenset(members),
            {member: demoted[member] for member in sorted(members) if member in demoted},
            frozenset(members & effects.absorbed),
            frozenset(members & guessed),
        )
        components.update(dict.fromkeys(members, component))
    return components


def canonical_of(members: Iterable[Identifier], absorbed: AbstractSet[Identifier]) -> Identifier:
    """Returns the strongest identifier that no merge absorbed; of several, the first by value."""
    return min(
        members,
        key=lambda member: (
            member in absorbed,
            KINDS_BY_STRENGTH.index(member.kind),
            member.value,
        ),
    )
