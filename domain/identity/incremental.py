"""Who is who, one fact after the other: each asks only about those whom it can concern."""

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
    """What facts come to, as they become known.

    A link or a merge concerns nobody but the components that it may join: links that are idle stay so,
    see `domain.identity.resolution.Resolution`.  Only an unmerge has everybody resolved anew.
    """

    def __init__(self, facts: Iterable[IdentityFact] = ()) -> None:
        self._facts = set(facts)
        self._resolve_all()

    def add_facts(self, facts: Iterable[IdentityFact]) -> Mapping[Identifier, Component]:
        """Take in what was said at once; return the components of all whom it may concern."""
        new = list(facts)
        self._facts.update(new)
        if any(isinstance(it, UnmergeFact) for it in new):
            self._resolve_all()
            return dict(self._components)
        for fact in new:
            self._update_guessed(fact)
        members = {it for fact in new for it in existing_identifiers(fact)}
        for it in {it for fact in new for it in identifiers_in(fact)} & self._components.keys():
            members |= self._components[it].members
        mine = {fact for it in members for fact in self._active_facts[it]}
        mine |= {it for it in new if joins_identifiers(it, self._separations)}
        return self._resolve(members, mine)

    def _update_guessed(self, fact: IdentityFact) -> None:
        if isinstance(fact, MergeFact) and not fact.certain:
            self._guessed.add(fact.secondary)
        self._certain.update(certain_identifiers(fact))
        self._guessed -= self._certain

    def _resolve_all(self) -> None:
        self._separations = separations_in(self._facts)
        self._guessed = set(guessed_identifiers(self._facts))
        exist = {it for fact in self._facts for it in existing_identifiers(fact)}
        self._certain = {it for fact in self._facts for it in certain_identifiers(fact)}
        self._components: dict[Identifier, Component] = {}
        self._active_facts: dict[Identifier, set[IdentityFact]] = defaultdict(set)
        self._resolve(exist, {it for it in self._facts if joins_identifiers(it, self._separations)})

    def _resolve(
        self, members: set[Identifier], facts: set[IdentityFact]
    ) -> Mapping[Identifier, Component]:
        components, idle = resolve_joins(members, facts, self._guessed & members)
        for fact in facts:
            for it in existing_identifiers(fact):
                if fact in idle:
                    self._active_facts[it].discard(fact)
                else:
                    self._active_facts[it].add(fact)
        self._components.update(components)
        return components
