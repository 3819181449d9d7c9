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

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from domain.events import Event, IdentifiersLinked, Merged, Unmerged
from domain.identifiers import STRENGTH, Identifier, is_blocked
from domain.message import Policy

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
    policy: Policy = "latest"
    certain: bool = True
    """Whether there is such an identifier: an alias does not say which kind its previous id is of."""


class Separated(NamedTuple):
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
        return len(self.members) >= LARGE


Fact = Linked | Absorbed | Separated


def facts_of(event: Event) -> tuple[Fact, ...]:
    """Return what an event says about who is who."""
    if isinstance(event, IdentifiersLinked):
        return (Linked(event.occurred_at, event.left, event.right),)
    if isinstance(event, Merged) and event.subject is not None:
        certain = len(event.absorbed) == 1
        return tuple(
            Absorbed(event.occurred_at, event.subject, it, event.policy, certain)
            for it in event.absorbed
        )
    if isinstance(event, Unmerged) and event.subject is not None:
        return (Separated(event.occurred_at, event.subject, frozenset(event.apart_from)),)
    return ()


def resolve(facts: Iterable[Fact]) -> Mapping[Identifier, Component]:
    """Return the component of each identifier that the facts name.

    An identifier that no fact names is a person by itself.
    """
    known = set(facts)
    apart = _apart(known)
    merges = sorted(it for it in known if isinstance(it, Absorbed) and _holds(it, apart))
    links = sorted(it for it in known if isinstance(it, Linked) and _may_link(it, apart))

    groups = _Groups({identifier for fact in known for identifier in named(fact)})
    for merge in merges:
        groups.join(merge.primary, merge.secondary)
    for link in links:
        if groups.users(link.left) == 0 or groups.users(link.right) == 0:
            groups.join(link.left, link.right)
    return _components(groups, merges, _guessed(known))


def named(fact: Fact) -> tuple[Identifier, ...]:
    """Return the identifiers that a fact names."""
    if isinstance(fact, Linked):
        return (fact.left, fact.right)
    if isinstance(fact, Absorbed):
        return (fact.primary, fact.secondary)
    return (fact.identifier, *fact.apart_from)


def joined(fact: Fact) -> tuple[Identifier, Identifier] | None:
    """Return the pair that a fact may join; None if it joins nothing."""
    if isinstance(fact, Separated):
        return None
    _, left, right, *_ = fact
    if left == right or is_blocked(left) or is_blocked(right):
        return None
    return left, right


_Apart = Mapping[frozenset[Identifier], datetime]


def _apart(facts: Iterable[Fact]) -> _Apart:
    """Return the pairs that were taken apart, and when they last were."""
    latest: dict[frozenset[Identifier], datetime] = {}
    for fact in facts:
        if isinstance(fact, Separated):
            for other in fact.apart_from:
                pair = frozenset((fact.identifier, other))
                latest[pair] = max(fact.at, latest.get(pair, fact.at))
    return latest


def _holds(merge: Absorbed, apart: _Apart) -> bool:
    pair = joined(merge)
    if pair is None:
        return False
    since = apart.get(frozenset(pair))
    return since is None or merge.at > since


def _may_link(link: Linked, apart: _Apart) -> bool:
    pair = joined(link)
    return pair is not None and frozenset(pair) not in apart


def _guessed(facts: Iterable[Fact]) -> set[Identifier]:
    guessed, certain = set(), set()
    for fact in facts:
        if isinstance(fact, Absorbed) and not fact.certain:
            guessed.add(fact.secondary)
            certain.add(fact.primary)
        elif not isinstance(fact, Separated):
            certain.update(named(fact))
    return guessed - certain


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

    def all(self) -> Iterable[set[Identifier]]:
        """Return the groups."""
        members: dict[Identifier, set[Identifier]] = {}
        for identifier in self._parent:
            members.setdefault(self._root(identifier), set()).add(identifier)
        return members.values()

    def _root(self, identifier: Identifier) -> Identifier:
        while (parent := self._parent[identifier]) != identifier:
            self._parent[identifier] = self._parent[parent]
            identifier = parent
        return identifier


def _components(
    groups: _Groups, merges: Iterable[Absorbed], guessed: set[Identifier]
) -> Mapping[Identifier, Component]:
    absorbed: set[Identifier] = set()
    demoted: dict[Identifier, datetime] = {}
    for merge in merges:
        absorbed.add(merge.secondary)
        if merge.policy == "primary":
            demoted[merge.secondary] = max(merge.at, demoted.get(merge.secondary, merge.at))
    found: dict[Identifier, Component] = {}
    for group in groups.all():
        component = Component(
            _canonical(group - guessed or group, absorbed),
            frozenset(group),
            {it: demoted[it] for it in sorted(group) if it in demoted},
            frozenset(group & guessed),
        )
        found.update(dict.fromkeys(group, component))
    return found


def _canonical(group: Iterable[Identifier], absorbed: set[Identifier]) -> Identifier:
    """Return the strongest identifier that nothing absorbed; of several, the first by value."""
    return min(group, key=lambda it: (it in absorbed, STRENGTH.index(it.kind), it.value))
