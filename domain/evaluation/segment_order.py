"""Segments in an order in which each comes after those it refers to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from domain.conditions import Condition, EvaluationInput, referenced_segments
from domain.conditions.base import EvaluationResult


class CompiledSegment(NamedTuple):
    """A segment as it is evaluated."""

    id: str
    condition: Condition
    stored_id: int = 0
    """Its id in stored memberships: the ledger position of its first definition."""


@dataclass(frozen=True, eq=False)
class SegmentOrder:
    """Segments in topological order: an ordinal is a segment's index in that order."""

    segments: Sequence[CompiledSegment]
    predicates: Sequence[Callable[[EvaluationInput, int], EvaluationResult]]
    """Compiled conditions, by ordinal."""

    ordinal_of: Mapping[str, int]
    """By a segment's id."""

    stored_ids: Sequence[int]
    ordinal_of_stored_id: Mapping[int, int]
    dependents: Mapping[int, frozenset[int]]
    """Ordinals of the segments that refer to a segment, by its ordinal."""

    @classmethod
    def build(cls, segments: Iterable[CompiledSegment]) -> Self:
        """Sorts and compiles segments."""
        by_id = {segment.id: segment for segment in segments}
        referenced = {id_: referenced_segments(by_id[id_].condition) for id_ in sorted(by_id)}
        ordinal_of: dict[str, int] = {}

        def add(id_: str) -> None:
            if id_ not in ordinal_of:
                for other in sorted(referenced[id_] & by_id.keys()):
                    add(other)
                ordinal_of[id_] = len(ordinal_of)

        for id_ in referenced:
            add(id_)
        readers = inverted([referenced[id_] for id_ in ordinal_of])
        dependents = {ordinal_of[id_]: readers[id_] for id_ in readers.keys() & by_id.keys()}
        in_order = [by_id[id_] for id_ in ordinal_of]
        stored_ids = [segment.stored_id for segment in in_order]
        ordinal_of_stored_id = {id_: ordinal for ordinal, id_ in enumerate(stored_ids)}
        predicates = [segment.condition.compile() for segment in in_order]
        return cls(in_order, predicates, ordinal_of, stored_ids, ordinal_of_stored_id, dependents)

    def with_dependents(self, ordinals: frozenset[int]) -> frozenset[int]:
        """Returns the ordinals and those of all direct and indirect dependents."""
        while (
            more := frozenset().union(*(self.dependents.get(ordinal, ()) for ordinal in ordinals))
            - ordinals
        ):
            ordinals |= more
        return ordinals


def inverted(keys_by_ordinal: Sequence[Iterable[str]]) -> dict[str, frozenset[int]]:
    """Returns, by key, the ordinals of the elements that contain it."""
    ordinals_by_key: dict[str, set[int]] = {}
    for ordinal, keys in enumerate(keys_by_ordinal):
        for key in keys:
            ordinals_by_key.setdefault(key, set()).add(ordinal)
    return {key: frozenset(ordinals) for key, ordinals in ordinals_by_key.items()}
