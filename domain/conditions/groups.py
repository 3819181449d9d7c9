"""All, any or none of several conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from domain.conditions.base import Answer, Condition, Known


class Group(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Several conditions taken together."""

    DECIDED_BY: ClassVar[bool]
    """The answer of a part by which the whole is decided, whatever the others say."""

    DECIDED: ClassVar[bool]
    """What the whole is then; else the opposite."""

    def holds(self, known: Known, clock: int) -> bool:
        """Ask each, until it is clear."""
        found = any(it.holds(known, clock) == self.DECIDED_BY for it in self.parts)
        return found == self.DECIDED

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when each that decides may have changed; or any, if none does."""
        return self.asker()(known, clock)[1]

    def asker(self) -> Callable[[Known, int], Answer]:
        """Return what tells both, asking each part once; none after one that decides for good."""
        parts = [it.asker() for it in self.parts]
        decided_by, decided = self.DECIDED_BY, self.DECIDED

        def answer(known: Known, clock: int) -> Answer:
            is_decided, until, changes = False, 0, None
            for part in parts:
                holds, at = part(known, clock)
                if holds == decided_by:
                    if at is None:
                        return decided, None
                    is_decided, until = True, max(until, at) if is_decided else at
                elif at is not None and (changes is None or at < changes):
                    changes = at
            return (decided, until) if is_decided else (not decided, changes)

        return answer

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:
        """Return the explanation of each."""
        return {"parts": [it.explain(known, clock) for it in self.parts]}


class All(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every one of them holds; of none at all that is true."""

    KEY: ClassVar[str] = "all"
    DECIDED_BY: ClassVar[bool] = False
    DECIDED: ClassVar[bool] = False

    all: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.all


class Any_(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):  # noqa: N801
    """At least one of them holds."""

    KEY: ClassVar[str] = "any"
    DECIDED_BY: ClassVar[bool] = True
    DECIDED: ClassVar[bool] = True

    any: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.any


class None_(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):  # noqa: N801
    """Not one of them holds."""

    KEY: ClassVar[str] = "none"
    DECIDED_BY: ClassVar[bool] = True
    DECIDED: ClassVar[bool] = False

    none: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.none

    def can_become(self, answer: bool, key: str, size: int | None) -> bool:
        """Say whether one of the conditions can become the opposite."""
        return super().can_become(not answer, key, size)

    @property
    def turns(self) -> frozenset[bool]:
        """The opposites of what the conditions turn into."""
        return frozenset(not it for it in super().turns)
