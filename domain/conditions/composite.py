"""Conditions that are combined of others: groups and scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import ClassVar, Self

from domain.conditions.accumulators import Accumulator
from domain.conditions.base import NO_RESULT, Condition


class CompositeCondition(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition whose result follows from those of its parts.

    A subclass implements `parse`, `parts` and `with_parts`, and how results combine: `holds`,
    `changes_at` and `evidence`.  `can_flip_to` and `flips_with_time` are those of a result that can only
    flip to what one of the parts flips to.
    """

    PART_SUFFIX: ClassVar[str] = ""
    """What follows the index of a part in its JSON pointer."""

    def part_pointers(self, pointer: str = "") -> Sequence[str]:
        """Returns the pointers of the list's elements."""
        return [
            f"{pointer}/{self.KEY}/{index}{self.PART_SUFFIX}" for index in range(len(self.parts))
        ]

    def with_parts(self, parts: Sequence[Condition]) -> Self:
        """Returns the same combination of other conditions, as many as there are parts."""
        raise NotImplementedError

    def resolve(self, values: Mapping[str, Condition], pointer: str = "") -> Self:
        """Returns the combination of the resolved parts."""
        located_parts = zip(self.part_pointers(pointer), self.parts, strict=True)
        return self.with_parts([part.resolve(values, located) for located, part in located_parts])

    def accumulators(self) -> Iterable[Accumulator]:
        """Returns the accumulators of all parts."""
        return chain.from_iterable(part.accumulators() for part in self.parts)

    @property
    def reads_identifiers(self) -> bool:
        """Whether a part does."""
        return any(part.reads_identifiers for part in self.parts)

    def can_flip_to(self, result: bool, key: str, size: int | None) -> bool:
        """Returns whether a part can flip to the result."""
        return any(part.can_flip_to(result, key, size) for part in self.parts)

    @property
    def flips_with_time(self) -> frozenset[bool]:
        """The results that a part can flip to."""
        return NO_RESULT.union(*(part.flips_with_time for part in self.parts))
