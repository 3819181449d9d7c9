"""Identifiers in groups, each of which comes to be one person."""

from __future__ import annotations

from collections.abc import Iterable

from domain.core.identifiers import Identifier


class Groups:
    """Disjoint sets that know how many ``user_id``s each holds."""

    def __init__(self, identifiers: Iterable[Identifier]) -> None:
        self._parent = {it: it for it in identifiers}
        self._users = {it: int(it.kind == "user_id") for it in self._parent}

    def apart(self) -> Groups:
        """Return the same identifiers, each by itself."""
        return Groups(self._parent)

    def users(self, identifier: Identifier) -> int:
        """Return how many user ids are in the identifier's group."""
        return self._users[self.root(identifier)]

    def join(self, left: Identifier, right: Identifier) -> None:
        """Make one group of two."""
        one, other = sorted((self.root(left), self.root(right)))
        if one != other:
            self._parent[other] = one
            self._users[one] += self._users[other]

    def all(self) -> dict[Identifier, set[Identifier]]:
        """Return the groups, by the member that stands for each."""
        members: dict[Identifier, set[Identifier]] = {}
        for identifier in self._parent:
            members.setdefault(self.root(identifier), set()).add(identifier)
        return members

    def root(self, identifier: Identifier) -> Identifier:
        """Return the member that stands for the identifier's group."""
        while (parent := self._parent[identifier]) != identifier:
            self._parent[identifier] = self._parent[parent]
            identifier = parent
        return identifier
