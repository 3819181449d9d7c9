"""Sorts streams into groups of those that may come to be one person with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID


class StreamUnionFind:
    """Streams that may come to be one person with each other."""

    def __init__(self) -> None:
        self._parent: dict[UUID, UUID] = {}

    def union(self, streams: Iterable[UUID]) -> None:
        """Put streams into one group."""
        roots = sorted({self.find(it) for it in streams})
        for root in roots[1:]:
            self._parent[root] = roots[0]

    def find(self, stream: UUID) -> UUID:
        """Return the stream that stands for a stream's group."""
        while (parent := self._parent.setdefault(stream, stream)) != stream:
            self._parent[stream] = self._parent[parent]
            stream = parent
        return stream

    def group_by_root(self, streams: Iterable[UUID]) -> Mapping[UUID, list[UUID]]:
        """Return streams by the one that stands for their group."""
        found: dict[UUID, list[UUID]] = defaultdict(list)
        for stream in streams:
            found[self.find(stream)].append(stream)
        return found
