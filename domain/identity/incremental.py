"""Incremental identity resolution: a fact re-resolves only the components that it can join."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from domain.core.identifiers import Identifier
from domain.identity.resolution import (
    Component,
    IdentityFact,
    MergeFact,
    UnmergeFact,
    certain_identifiers,
    existing_identifiers,
    guessed_identifiers,
    identifiers_in,
    joins_identifiers,
    resolve_joins,
    separations_in,
)


class IncrementalResolver:
    """Resolution of a growing set of facts.

    A link or a merge concerns only the components that it may join: inactive links stay inactive, see
    `domain.identity.resolution.Resolution`.  Only an unmerge resolves all facts again.
    """

    def __init__(self, facts: Iterable[IdentityFact] = ()) -> None:
        self._facts = set(facts)
        self._resolve_all()

    def add_facts(self, facts: Iterable[IdentityFact]) -> Mapping[Identifier, Component]:
        """Adds facts; returns the component of each identifier that they can concern."""
        new = list(facts)
        self._facts.update(new)
        if any(isinstance(fact, UnmergeFact) for fact in new):
            self._resolve_all()
            return dict(self._components)
        for fact in new:
            self._update_guessed(fact)
        members = {identifier for fact in new for identifier in existing_identifiers(fact)}
        named = {identifier for fact in new for identifier in identifiers_in(fact)}
        for identifier in named & self._components.keys():
            members |= self._components[identifier].members
        facts_of_members = {fact for member in members for fact in self._active_facts[member]}
        facts_of_members |= {fact for fact in new if joins_identifiers(fact, self._separations)}
        return self._resolve(members, facts_of_members)

    def _update_guessed(self, fact: IdentityFact) -> None:
        if isinstance(fact, MergeFact) and not fact.certain:
            self._guessed.add(fact.secondary)
        self._certain.update(certain_identifiers(fact))
        self._guessed -= self._certain

    def _resolve_all(self) -> None:
        self._separations = separations_in(self._facts)
        self._guessed = set(guessed_identifiers(self._facts))
        existing = {identifier for fact in self._facts for identifier in existing_identifiers(fact)}
        self._certain = {
            identifier for fact in self._facts for identifier in certain_identifiers(fact)
        }
        self._components: dict[Identifier, Component] = {}
        self._active_facts: dict[Identifier, set[IdentityFact]] = defaultdict(set)
        joining = {fact for fact in self._facts if joins_identifiers(fact, self._separations)}
        self._resolve(existing, joining)

    def _resolve(
        self, members: set[Identifier], facts: set[IdentityFact]
    ) -> Mapping[Identifier, Component]:
        components, inactive = resolve_joins(members, facts, self._guessed & members)
        for fact in facts:
            for identifier in existing_identifiers(fact):
                if fact in inactive:
                    self._active_facts[identifier].discard(fact)
                else:
                    self._active_facts[identifier].add(fact)
        self._components.update(components)
        return components
