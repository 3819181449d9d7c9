"""Who is who, one fact after the other: each asks only about those whom it can concern."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from domain.core.identifiers import Identifier
from domain.identity.resolution import (
    Absorbed,
    Component,
    Fact,
    Separated,
    apart_in,
    guessed_in,
    heard_of,
    joins,
    named,
    resolved,
    vouched_for,
)


class Unfolding:
    """What facts come to, as they become known.

    A link or a merge concerns nobody but the components that it may join: links that are idle stay so,
    see `domain.identity.resolution.Resolution`.  Only an unmerge has everybody resolved anew.
    """

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._known = set(facts)
        self._resolve_all()

    def learn(self, facts: Iterable[Fact]) -> Mapping[Identifier, Component]:
        """Take in what was said at once; return the components of all whom it may concern."""
        new = list(facts)
        self._known.update(new)
        if any(isinstance(it, Separated) for it in new):
            self._resolve_all()
            return dict(self._components)
        for fact in new:
            self._meet(fact)
        members = {it for fact in new for it in heard_of(fact)}
        for it in {it for fact in new for it in named(fact)} & self._components.keys():
            members |= self._components[it].members
        mine = {fact for it in members for fact in self._awake[it]}
        mine |= {it for it in new if joins(it, self._apart)}
        return self._resolve(members, mine)

    def _meet(self, fact: Fact) -> None:
        if isinstance(fact, Absorbed) and not fact.certain:
            self._guessed.add(fact.secondary)
        self._vouched.update(vouched_for(fact))
        self._guessed -= self._vouched

    def _resolve_all(self) -> None:
        self._apart = apart_in(self._known)
        self._guessed = set(guessed_in(self._known))
        exist = {it for fact in self._known for it in heard_of(fact)}
        self._vouched = {it for fact in self._known for it in vouched_for(fact)}
        self._components: dict[Identifier, Component] = {}
        self._awake: dict[Identifier, set[Fact]] = defaultdict(set)
        self._resolve(exist, {it for it in self._known if joins(it, self._apart)})

    def _resolve(
        self, members: set[Identifier], facts: set[Fact]
    ) -> Mapping[Identifier, Component]:
        components, idle = resolved(members, facts, self._guessed & members)
        for fact in facts:
            for it in heard_of(fact):
                if fact in idle:
                    self._awake[it].discard(fact)
                else:
                    self._awake[it].add(fact)
        self._components.update(components)
        return components
