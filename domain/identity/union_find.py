"""Union-find: disjoint sets of items that are joined step by step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

from domain.core.identifiers import Identifier


class Sortable(Protocol):
    """An item that has an order, by which the root of its set is chosen."""

    def __lt__(self, other: Any, /) -> bool:
        """Returns whether this item comes before the other."""
        ...


Item = TypeVar("Item", bound=Sortable)


class UnionFind(Generic[Item]):
    """Disjoint sets; the root of each is its smallest item, whatever the order of the unions.

    An unknown item is added as a set of its own.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._parents = {item: item for item in items}

    def find(self, item: Item) -> Item:
        """Returns the root of the set that contains an item."""
        parents = self._parents
        while (parent := parents.setdefault(item, item)) != item:
            parents[item] = parents[parent]
            item = parent
        return item

    def union(self, *items: Item) -> None:
        """Joins the sets that contain the items."""
        roots = sorted({self.find(item) for item in items})
        for root in roots[1:]:
            self._absorb(roots[0], root)

    def _absorb(self, root: Item, other: Item) -> None:
        self._parents[other] = root

    def sets(self) -> dict[Item, set[Item]]:
        """Returns the sets by their roots."""
        sets: dict[Item, set[Item]] = {}
        for item in self._parents:
            sets.setdefault(self.find(item), set()).add(item)
        return sets

    def group(self, items: Iterable[Item]) -> dict[Item, list[Item]]:
        """Returns the given items by their roots, in the given order within each set."""
        groups: dict[Item, list[Item]] = {}
        for item in items:
            groups.setdefault(self.find(item), []).append(item)
        return groups


class IdentifierSets(UnionFind[Identifier]):
    """Sets of identifiers, one for each profile, with the number of user ids in each."""

    def __init__(self, identifiers: Iterable[Identifier] = ()) -> None:
        super().__init__(identifiers)
        self._user_id_counts: dict[Identifier, int] = {}

    def singletons(self) -> IdentifierSets:
        """Returns the same identifiers, each in a set of its own."""
        return IdentifierSets(self._parents)

    def user_id_count(self, identifier: Identifier) -> int:
        """Returns the number of user ids in the set of an identifier."""
        return self._count(self.find(identifier))

    def _absorb(self, root: Identifier, other: Identifier) -> None:
        super()._absorb(root, other)
        self._user_id_counts[root] = self._count(root) + self._count(other)

    def _count(self, root: Identifier) -> int:
        return self._user_id_counts.get(root, int(root.kind == "user_id"))
