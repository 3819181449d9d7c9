"""Who is who: a pure function of what was said, never of the order in which it arrived.

Three kinds of fact.  A *link* says that two identifiers were shown together.  A *merge* says that one
absorbs another.  An *unmerge* takes an identifier out again: no link or merge of it holds that
occurred at or before that instant.

Facts are weighed in the order in which they occurred:

1. merges join, whatever they join;
2. links join, earliest first, unless that would put two ``user_id``s together that no merge has put
   together.  So an ``anonymous_id`` joins the first ``user_id`` that claims it, and a device that
   two people share does not make one person of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from domain.identifiers import STRENGTH, Identifier, is_blocked

LARGE = 100
"""Identifiers in one component from which on it is reported: nobody has that many names."""


class Linked(NamedTuple):
    """Two identifiers were shown together; ``at`` is the earliest time that it is known of."""

    at: datetime
    left: Identifier
    right: Identifier


class Absorbed(NamedTuple):
    """A source or a person said that ``secondary`` is the same person as ``primary``."""

    at: datetime
    primary: Identifier
    secondary: Identifier


class Separated(NamedTuple):
    """A person said that what was known of this identifier until then does not hold."""

    at: datetime
    identifier: Identifier


class Component(NamedTuple):
    """The identifiers of one person."""

    canonical: Identifier
    """The one whose stream names the person: see `_precedence`."""

    members: frozenset[Identifier]

    @property
    def is_large(self) -> bool:
        """Say whether it has more names than a person can have."""
        return len(self.members) >= LARGE


Fact = Linked | Absorbed | Separated


def resolve(facts: Iterable[Fact]) -> Mapping[Identifier, Component]:
    """Return the component of each identifier that the facts name.

    An identifier that no fact names is a person by itself.
    """
    known = set(facts)
    separated = _latest_separations(known)
    merges = sorted(it for it in known if isinstance(it, Absorbed) and _holds(it, separated))
    links = sorted(it for it in known if isinstance(it, Linked) and _holds(it, separated))
    named = {identifier for fact in known for identifier in _named(fact)}

    groups = _Groups(named)
    for merge in merges:
        groups.join(merge.primary, merge.secondary)
    for link in links:
        if groups.users(link.left) == 0 or groups.users(link.right) == 0:
            groups.join(link.left, link.right)
    absorbed = {merge.secondary for merge in merges}
    return groups.components(absorbed)


def _latest_separations(facts: Iterable[Fact]) -> Mapping[Identifier, datetime]:
    latest: dict[Identifier, datetime] = {}
    for fact in facts:
        if isinstance(fact, Separated):
            latest[fact.identifier] = max(fact.at, latest.get(fact.identifier, fact.at))
    return latest


def _holds(fact: Linked | Absorbed, separated: Mapping[Identifier, datetime]) -> bool:
    _, left, right = fact
    if left == right or is_blocked(left) or is_blocked(right):
        return False
    return all(fact.at > separated[it] for it in (left, right) if it in separated)


def _named(fact: Fact) -> tuple[Identifier, ...]:
    return tuple(it for it in fact if isinstance(it, Identifier))


class _Groups:
    """Disjoint sets that know how many ``user_id``s each holds."""

    def __init__(self, identifiers: Iterable[Identifier]) -> None:
        self._parent = {it: it for it in identifiers}
        self._users = {it: int(it.kind == "user_id") for it in self._parent}

    def users(self, identifier: Identifier) -> int:
        """Return how many user ids are in the identifier's group."""
        return self._users[self._root(identifier)]

    def join(self, left: Identifier, right: Identifier) -> None:
        """Make one group of two."""
        one, other = sorted((self._root(left), self._root(right)))
        if one != other:
            self._parent[other] = one
            self._users[one] += self._users[other]

    def components(self, absorbed: set[Identifier]) -> Mapping[Identifier, Component]:
        """Return the component of each identifier."""
        members: dict[Identifier, set[Identifier]] = {}
        for identifier in self._parent:
            members.setdefault(self._root(identifier), set()).add(identifier)
        return {
            identifier: component
            for group in members.values()
            for component in [Component(_canonical(group, absorbed), frozenset(group))]
            for identifier in group
        }

    def _root(self, identifier: Identifier) -> Identifier:
        while (parent := self._parent[identifier]) != identifier:
            self._parent[identifier] = self._parent[parent]
            identifier = parent
        return identifier


def _canonical(group: Iterable[Identifier], absorbed: set[Identifier]) -> Identifier:
    """Return the strongest identifier that nothing absorbed; of several, the first by value."""
    return min(group, key=lambda it: (it in absorbed, STRENGTH.index(it.kind), it.value))
