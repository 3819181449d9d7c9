"""The rules that are in effect, made ready to be set off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from domain.evaluation.rule_runs import Passing
from domain.evaluation.summaries import Memory, memories
from domain.rules.definition import Plan
from domain.rules.triggers import ByAttribute


class InEffect(NamedTuple):
    """One definition of a rule."""

    rule: str
    version: int
    plan: Plan
    takes: bool = True
    """Whether it can be set off; an older definition only goes on with those who wait in it."""


class Effective:
    """Definitions of rules, by what sets them off.

    ``known`` are the ids of rules that do nothing just now, and go on with what they remember later.
    """

    def __init__(self, rules: Iterable[InEffect] = (), known: Iterable[str] = ()) -> None:
        self.rules = tuple(sorted(rules, key=lambda it: (it.rule, it.version)))
        self._known = sorted({it.rule for it in self.rules} | {*known})
        self.plans: Mapping[tuple[str, int], Plan] = {
            (it.rule, it.version): it.plan for it in self.rules
        }
        self._taking = [it for it in self.rules if it.takes]
        self.by_attribute = [it for it in self._taking if isinstance(it.plan.trigger, ByAttribute)]
        self._waits = [it.plan.wait for it in self.rules if it.plan.wait is not None]
        self.set_off_by = lru_cache(maxsize=65_536)(self._set_off_by)
        self.awaits = lru_cache(maxsize=65_536)(self._awaits)
        self.kinds = frozenset(it.plan.trigger.KEY for it in self._taking)
        """Kinds of triggers that there are."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def memories(self) -> Iterable[Memory]:
        """What has to be remembered of people; the same may come more than once."""
        for it in self._taking:
            for condition in it.plan.conditions:
                yield from memories(condition)
        yield from map(Passing, self._known)

    def listens(self, name: str) -> bool:
        """Say whether an event of this name may set a rule off, or is waited for."""
        return bool(self.set_off_by("event", name)) or self.awaits(name)

    def _set_off_by(self, kind: str, subject: str) -> Sequence[InEffect]:
        found = [it for it in self._taking if kind == it.plan.trigger.KEY]
        return [it for it in found if it.plan.trigger.fits(subject)]

    def _awaits(self, name: str) -> bool:
        return any(it.comes(name) for it in self._waits)


NOTHING = Effective()
