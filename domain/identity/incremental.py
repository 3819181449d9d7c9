"""Incremental identity resolution: a fact costs about as much as it changes.

Most facts add an identifier to a profile, or join two profiles without taking anything from a third: then the
members of the smaller component move to the larger one, and nothing is resolved.  Where order decides (two
customers claim one device, a link comes late, merged profiles merge), the components concerned are resolved
again, see `domain.identity.resolution`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from domain.core.identifiers import Identifier
from domain.identity.claims import Claim, Claims
from domain.identity.facts import (
    IdentityFact,
    LinkFact,
    LinkPair,
    MergeFact,
    UnmergeFact,
    certain_identifiers,
    existing_identifiers,
    guessed_identifiers,
    identifiers_in,
    link_pair,
)
from domain.identity.resolution import (
    canonical_of,
    joins_identifiers,
    resolve_joins,
    separations_in,
)
from domain.identity.shared_component import (
    SharedComponent,
    from_component,
    is_later_than_links,
    merges_may_change,
    singleton,
)
from domain.identity.union_find import IdentifierSets


class ResolvedIdentifier(NamedTuple):
    """The profile of one identifier: see `domain.identity.resolution.Component`."""

    canonical: Identifier
    guessed: bool
    demoted_at: datetime | None


class IncrementalResolver:
    """Resolution of a growing set of facts."""

    def __init__(self, facts: Iterable[IdentityFact] = (), max_claims: int | None = None) -> None:
        self._facts, self._max_claims = set(facts), max_claims
        self._before: dict[Identifier, ResolvedIdentifier | None] = {}
        self._resolve_all()

    def resolved(self) -> Mapping[Identifier, ResolvedIdentifier]:
        """Returns the profile of each identifier."""
        return {identifier: self._resolved(identifier) for identifier in self._components}

    def claim_limits(self) -> Mapping[Identifier, Claim]:
        """Returns the last counting claim of each identifier that has as many as count."""
        return self._claims.limits()

    def add_facts(self, facts: Iterable[IdentityFact]) -> Mapping[Identifier, ResolvedIdentifier]:
        """Adds facts; returns the new profile of each identifier whose profile they changed."""
        new = [fact for fact in dict.fromkeys(facts) if fact not in self._facts]
        self._facts.update(new)
        if any(isinstance(fact, UnmergeFact) for fact in new):
            before = self.resolved()
            self._resolve_all()
            self._before = {identifier: before.get(identifier) for identifier in self._components}
        else:
            self._before = {}
            for fact in new:
                self._add_fact(fact)
        return {
            identifier: resolved
            for identifier, before in self._before.items()
            if (resolved := self._resolved(identifier)) != before
        }

    def _resolved(self, identifier: Identifier) -> ResolvedIdentifier:
        component = self._components[identifier]
        return ResolvedIdentifier(
            component.canonical, identifier in self._guessed, component.demoted.get(identifier)
        )

    def _resolve_all(self) -> None:
        self._separations = separations_in(self._facts)
        self._guessed = set(guessed_identifiers(self._facts))
        self._certain = {i for fact in self._facts for i in certain_identifiers(fact)}
        self._claims = Claims(self._max_claims)
        self._links: dict[LinkPair, LinkFact] = {}
        self._first_merges: dict[tuple[Identifier, Identifier], MergeFact] = {}
        self._merged = IdentifierSets()
        self._joining: dict[Identifier, set[IdentityFact]] = defaultdict(set)
        self._components: dict[Identifier, SharedComponent] = {}
        for fact in self._facts:
            pair = link_pair(fact)
            if pair is not None:
                self._claims.add(pair, fact.at)
        for fact in self._facts:
            pair = link_pair(fact)
            if isinstance(fact, LinkFact) and pair and not self._claims.is_capped(pair):
                self._add_to_links(fact, pair)
            elif isinstance(fact, MergeFact) and joins_identifiers(fact, self._separations):
                self._add_to_merges(fact)
        self._resolve({i for fact in self._facts for i in existing_identifiers(fact)})

    def _add_fact(self, fact: IdentityFact) -> None:
        for identifier in existing_identifiers(fact):
            if identifier not in self._components:
                self._components[identifier] = singleton(identifier)
                self._before[identifier] = None
        self._update_guessed(fact)
        if isinstance(fact, LinkFact) and (pair := link_pair(fact)):
            self._add_link(fact, pair)
        elif isinstance(fact, MergeFact) and joins_identifiers(fact, self._separations):
            self._add_merge(fact)

    def _update_guessed(self, fact: IdentityFact) -> None:
        certain = certain_identifiers(fact)
        self._certain.update(certain)
        for identifier in self._guessed.intersection(certain):
            self._confirm(identifier)
        if isinstance(fact, MergeFact) and fact.secondary not in self._certain | self._guessed:
            self._touch((fact.secondary,))
            self._guessed.add(fact.secondary)
            self._resolve_again(fact.secondary)

    def _confirm(self, identifier: Identifier) -> None:
        """Takes back that an identifier is only guessed: it may become the canonical one."""
        component = self._components.get(identifier)
        if component is None:
            self._guessed.discard(identifier)
            return
        self._touch((identifier,))
        self._guessed.discard(identifier)
        candidates = {identifier, component.canonical} - self._guessed
        self._set_canonical(component, canonical_of(candidates, component.absorbed))

    def _add_to_links(self, fact: LinkFact, pair: LinkPair) -> bool:
        """Returns whether the link may join its pair, and is the first that does."""
        known = self._links.get(pair)
        if (known is not None and known <= fact) or not joins_identifiers(fact, self._separations):
            return False
        for identifier in pair:
            self._joining[identifier].add(fact)
            if known is not None:
                self._joining[identifier].discard(known)
        self._links[pair] = fact
        return True

    def _add_to_merges(self, fact: MergeFact) -> None:
        pair = fact.primary, fact.secondary
        self._first_merges[pair] = min(fact, self._first_merges.get(pair, fact))
        self._merged.union(*pair)
        for identifier in pair:
            self._joining[identifier].add(fact)

    def _add_link(self, fact: LinkFact, pair: LinkPair) -> None:
        for evicted in self._claims.add(pair, fact.at):
            if evicted in self._links:
                self._remove_link(evicted)
        if self._claims.is_capped(pair) or not self._add_to_links(fact, pair):
            return
        left, right = (self._components[identifier] for identifier in pair)
        if all(map(self._merged.user_id_count, pair)):
            return  # inactive, whenever it was
        if left is right:
            if left.has_merges:
                self._resolve_again(*pair)
        elif left.has_user_id and right.has_user_id:
            if not is_later_than_links(fact, left, right):
                self._resolve_again(*pair)
        elif merges_may_change(left, right) or any(
            identifier in component.absorbed or identifier in component.demoted
            for identifier, component in zip(pair, (left, right), strict=True)
        ):
            self._resolve_again(*pair)
        else:
            self._join(left, right)
            component = self._components[pair[0]]
            component.last_link = max(fact, component.last_link or fact)

    def _remove_link(self, pair: LinkPair) -> None:
        """Removes a link that is beyond a limit now."""
        fact = self._links.pop(pair)
        for identifier in pair:
            self._joining[identifier].discard(fact)
        component = self._components[pair[0]]
        if component is not self._components[pair[1]] or all(map(self._merged.user_id_count, pair)):
            return  # it was inactive
        for identifier in pair:
            is_leaf = not self._joining[identifier] and identifier.kind != "user_id"
            if is_leaf and identifier != component.canonical:
                self._touch((identifier,))
                component.remove(identifier)
                self._components[identifier] = singleton(identifier)
                return
        self._resolve_without(pair)

    def _add_merge(self, fact: MergeFact) -> None:
        primary, secondary = pair = fact.primary, fact.secondary
        known = self._first_merges.get(pair)
        both_merged = all(map(self._merged.user_id_count, pair))
        self._add_to_merges(fact)
        left, right = self._components[primary], self._components[secondary]
        if left is right and known is not None and known < fact and fact.policy == "latest":
            return
        if (
            left is right
            or right.has_merges
            or merges_may_change(left, right)
            or primary in left.absorbed
            or (left.has_user_id and right.has_user_id and not both_merged)
        ):
            self._resolve_again(primary, secondary)
            return
        # Nothing was merged into the secondary's component, so this merge absorbs it as it is.
        self._touch(right.members)
        right.absorbed.update(right.members)
        if fact.policy == "primary":
            right.demoted.update(dict.fromkeys(right.members, fact.at))
        self._join(left, right)
        self._components[primary].has_merges = True

    def _join(self, left: SharedComponent, right: SharedComponent) -> None:
        """Moves the members of the smaller component to the larger one."""
        absorbed = left.absorbed | right.absorbed
        candidates = {left.canonical, right.canonical}
        canonical = canonical_of(candidates - self._guessed or candidates, absorbed)
        self._set_canonical(left, canonical)
        self._set_canonical(right, canonical)
        large, small = sorted((left, right), key=lambda component: -len(component.members))
        large.add(small)
        self._components.update(dict.fromkeys(small.members, large))

    def _set_canonical(self, component: SharedComponent, canonical: Identifier) -> None:
        if component.canonical != canonical:
            self._touch(component.members)
            component.canonical = canonical

    def _touch(self, identifiers: Iterable[Identifier]) -> None:
        """Notes the present profile of identifiers, before it changes."""
        for identifier in identifiers:
            if identifier not in self._before and identifier in self._components:
                self._before[identifier] = self._resolved(identifier)

    def _resolve_again(self, *identifiers: Identifier) -> None:
        """Resolves the components of identifiers again, with a new fact about them.

        Links to other components are inactive, and stay so: see `domain.identity.resolution.Resolution`.
        """
        members = self._members_of(identifiers)
        self._touch(members)
        self._resolve(members)

    def _resolve_without(self, pair: LinkPair) -> None:
        """Resolves a component without one of its links, and the claims on what it loses."""
        members = self._members_of(pair)
        self._touch(members)
        self._resolve(members)
        unclaimed = {i for i in members if not self._components[i].has_user_id}
        claimants = {
            identifier
            for member in unclaimed
            for fact in self._joining[member]
            for identifier in identifiers_in(fact)
        }
        if not claimants <= members:
            self._resolve_again(*unclaimed, *claimants)

    def _members_of(self, identifiers: Iterable[Identifier]) -> set[Identifier]:
        components = {id(c): c for i in identifiers if (c := self._components.get(i)) is not None}
        return {member for component in components.values() for member in component.members}

    def _resolve(self, members: set[Identifier]) -> None:
        facts = {
            fact
            for member in members
            for fact in self._joining[member]
            if members.issuperset(identifiers_in(fact))
        }
        resolution = resolve_joins(members, facts, self._guessed & members)
        for component in {id(c): c for c in resolution.components.values()}.values():
            shared = from_component(component)
            self._components.update(dict.fromkeys(shared.members, shared))
        for fact in facts:
            shared = self._components[identifiers_in(fact)[0]]
            if isinstance(fact, MergeFact):
                shared.has_merges = True
            elif isinstance(fact, LinkFact):
                shared.last_link = max(fact, shared.last_link or fact)
