"""The rules that are in effect, made ready to be set off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from domain.evaluation.accumulators import Accumulator, required_accumulators
from domain.evaluation.rule_runs import RuleHistoryAccumulator
from domain.rules.definition import RuleDefinition
from domain.rules.triggers import AttributeChangedTrigger


class ActiveRule(NamedTuple):
    """One definition of a rule."""

    rule: str
    version: int
    definition: RuleDefinition
    accepts_triggers: bool = True
    """Whether it can be set off; an older definition only goes on with those who wait in it."""


class RuleIndex:
    """Definitions of rules, by what sets them off.

    ``known`` are the ids of rules that do nothing just now, and go on with what they remember later.
    """

    def __init__(self, rules: Iterable[ActiveRule] = (), known_rules: Iterable[str] = ()) -> None:
        self.rules = tuple(sorted(rules, key=lambda it: (it.rule, it.version)))
        self._known_rules = sorted({it.rule for it in self.rules} | {*known_rules})
        self.definitions: Mapping[tuple[str, int], RuleDefinition] = {
            (it.rule, it.version): it.definition for it in self.rules
        }
        self._accepting = [it for it in self.rules if it.accepts_triggers]
        self.attribute_triggered = [
            it
            for it in self._accepting
            if isinstance(it.definition.trigger, AttributeChangedTrigger)
        ]
        self._waits = [it.definition.wait for it in self.rules if it.definition.wait is not None]
        self.triggered_by = lru_cache(maxsize=65_536)(self._triggered_by)
        self.awaits = lru_cache(maxsize=65_536)(self._awaits)
        self.trigger_kinds = frozenset(it.definition.trigger.KEY for it in self._accepting)
        """Kinds of triggers that there are."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def accumulators(self) -> Iterable[Accumulator]:
        """What has to be remembered of people; the same may come more than once."""
        for it in self._accepting:
            for condition in it.definition.conditions:
                yield from required_accumulators(condition)
        yield from map(RuleHistoryAccumulator, self._known_rules)

    def listens_to(self, name: str) -> bool:
        """Say whether an event of this name may set a rule off, or is waited for."""
        return bool(self.triggered_by("event", name)) or self.awaits(name)

    def _triggered_by(self, kind: str, subject: str) -> Sequence[ActiveRule]:
        same_kind = [it for it in self._accepting if kind == it.definition.trigger.KEY]
        return [it for it in same_kind if it.definition.trigger.matches(subject)]

    def _awaits(self, name: str) -> bool:
        return any(it.accepts(name) for it in self._waits)


NO_RULES = RuleIndex()
