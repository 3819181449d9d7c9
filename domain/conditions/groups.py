"""All, any or none of several conditions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from domain.conditions.base import Condition, Known


class Group(Condition, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Several conditions taken together."""

    def changes_at(self, known: Known, clock: int) -> int | None:
        """Return when the first of them may change."""
        times = [at for it in self.parts if (at := it.changes_at(known, clock)) is not None]
        return min(times, default=None)

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

    def holds(self, known: Known, clock: int) -> bool:
        """Ask each."""
        return not any(not it.holds(known, clock) for it in self.parts)


class Any_(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):  # noqa: N801
    """At least one of them holds."""

    KEY: ClassVar[str] = "any"

    any: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.any

    def holds(self, known: Known, clock: int) -> bool:
        """Ask each."""
        return True in (it.holds(known, clock) for it in self.parts)


class None_(Group, frozen=True, forbid_unknown_fields=True, omit_defaults=True):  # noqa: N801
    """Not one of them holds."""

    KEY: ClassVar[str] = "none"

    none: tuple[Condition, ...]

    @property
    def parts(self) -> tuple[Condition, ...]:
        """The conditions."""
        return self.none

    def holds(self, known: Known, clock: int) -> bool:
        """Ask each."""
        return True not in (it.holds(known, clock) for it in self.parts)
