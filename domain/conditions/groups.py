"""All, any or none of several conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from domain.conditions.base import Answer, Condition, Known


class Group(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Several conditions taken together."""

    def holds(self, known: Known, clock: int) -> bool:
        """Ask each, until it is clear."""
        return self._together(it.holds(known, clock) for it in self.parts)

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when the first of them may change."""
        times = [at for it in self.parts if (at := it.changes_at(known, clock)) is not None]
        return min(times, default=None)

    def asker(self) -> Callable[[Known, int], Answer]:
        """Return what tells both, asking each part once."""
        parts, together = [it.asker() for it in self.parts], self._together

        def answer(known: Known, clock: int) -> Answer:
            answers, changes = list[bool](), None
            for part in parts:
                holds, at = part(known, clock)
                answers.append(holds)
                if at is not None and (changes is None or at < changes):
                    changes = at
            return together(answers), changes

        return answer

    def _together(self, answers: Iterable[bool]) -> bool:
        """Return what the answers of the parts come to."""
        raise NotImplementedError

    def evidence(self, known: Known, clock: int) -> Mapping[str, Any]:
        """Return the explanation of each."""
        return {"parts": [it.explain(known, clock) for it in self.parts]}


class All(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every one of them holds; of none at all that is true."""

    KEY: ClassVar[str] = "all"

    all: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.all

    def _together(self, answers: Iterable[bool]) -> bool:
        return False not in answers


class Any_(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):  # noqa: N801
    """At least one of them holds."""

    KEY: ClassVar[str] = "any"

    any: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.any

    def _together(self, answers: Iterable[bool]) -> bool:
        return True in answers


class None_(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):  # noqa: N801
    """Not one of them holds."""

    KEY: ClassVar[str] = "none"

    none: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.none

    def can_become(self, answer: bool, key: str, size: int | None) -> bool:
        """Say whether one of the conditions can become the opposite."""
        return super().can_become(not answer, key, size)

    def _together(self, answers: Iterable[bool]) -> bool:
        return True not in answers
