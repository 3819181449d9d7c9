"""Identifiers in groups, each of which comes to be one person."""

from __future__ import annotations

from collections.abc import Iterable

from domain.core.identifiers import Identifier


class UnionFind:
    """Disjoint sets that know how many ``user_id``s each holds."""

    def __init__(self, identifiers: Iterable[Identifier]) -> None:
        self._parent = {it: it for it in identifiers}
        self._user_id_counts = {it: int(it.kind == "user_id") for it in self._parent}

    def singletons(self) -> UnionFind:
        """Return the same identifiers, each by itself."""
        return UnionFind(self._parent)

    def user_id_count(self, identifier: Identifier) -> int:
        """Return how many user ids are in the identifier's group."""
        return self._user_id_counts[self.find(identifier)]

    def union(self, left: Identifier, right: Identifier) -> None:
        """Make one group of two."""
        one, other = sorted((self.find(left), self.find(right)))
        if one != other:
            self._parent[other] = one
            self._user_id_counts[one] += self._user_id_counts[other]

    def groups(self) -> dict[Identifier, set[Identifier]]:
        """Return the groups, by the member that stands for each."""
        members: dict[Identifier, set[Identifier]] = {}
        for identifier in self._parent:
            members.setdefault(self.find(identifier), set()).add(identifier)
        return members

    def find(self, identifier: Identifier) -> Identifier:
        """Return the member that stands for the identifier's group."""
        while (parent := self._parent[identifier]) != identifier:
            self._parent[identifier] = self._parent[parent]
            identifier = parent
        return identifier
