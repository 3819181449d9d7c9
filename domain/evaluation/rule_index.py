"""Index of the active rules: which an event, segment or attribute triggers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from domain.conditions import EvaluationInput
from domain.conditions.accumulators import Accumulator
from domain.evaluation.rule_runs import RuleHistoryAccumulator
from domain.rules.definition import RuleDefinition
from domain.rules.triggers import AttributeChangedTrigger

AttributeValues = Mapping[str, Sequence[Any]]
"""A profile's values of the attributes that rules observe, by name."""


class ActiveRule(NamedTuple):
    """One version of a rule that can be triggered, or that runs in progress still follow."""

    rule: str
    version: int
    definition: RuleDefinition
    accepts_triggers: bool = True
    """Whether it can be triggered; an older version only completes its waiting runs."""


class RuleIndex:
    """Versions of rules, by what triggers them.

    ``known_rules`` are the ids of rules that are inactive now: their history is kept for when they are
    enabled again.
    """

    def __init__(self, rules: Iterable[ActiveRule] = (), known_rules: Iterable[str] = ()) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: (rule.rule, rule.version)))
        self._known_rules = sorted({rule.rule for rule in self.rules} | {*known_rules})
        self.definitions: Mapping[tuple[str, int], RuleDefinition] = {
            (rule.rule, rule.version): rule.definition for rule in self.rules
        }
        self._accepting = [rule for rule in self.rules if rule.accepts_triggers]
        self.attribute_triggered = [
            rule
            for rule in self._accepting
            if isinstance(rule.definition.trigger, AttributeChangedTrigger)
        ]
        """Rules that an attribute's change triggers."""

        self._waits = [
            rule.definition.wait for rule in self.rules if rule.definition.wait is not None
        ]
        self.triggered_by = lru_cache(maxsize=65_536)(self._triggered_by)
        """Returns the rules that a kind of trigger with a subject triggers."""

        self.awaits = lru_cache(maxsize=65_536)(self._awaits)
        """Returns whether a run may wait for an event of this name."""

        self.trigger_kinds = frozenset(rule.definition.trigger.KEY for rule in self._accepting)
        """Keys of the triggers of these rules."""

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def accumulators(self) -> Iterable[Accumulator]:
        """The accumulators that the rules need; the same key may come more than once."""
        for rule in self._accepting:
            for condition in rule.definition.conditions:
                yield from condition.accumulators()
        yield from map(RuleHistoryAccumulator, self._known_rules)

    def listens_to(self, name: str) -> bool:
        """Returns whether an event of this name can trigger a rule, or a run may wait for it."""
        return bool(self.triggered_by("event", name)) or self.awaits(name)

    def observed_values(self, evaluation_input: EvaluationInput) -> AttributeValues:
        """Returns a profile's values of the attributes that rules observe."""
        observed = (rule.definition.trigger.attribute for rule in self.attribute_triggered)
        return {
            attribute.attribute: list(attribute.values(evaluation_input))
            for attribute in observed
            if attribute is not None
        }

    def _triggered_by(self, kind: str, subject: str) -> Sequence[ActiveRule]:
        same_kind = [rule for rule in self._accepting if kind == rule.definition.trigger.KEY]
        return [rule for rule in same_kind if rule.definition.trigger.matches(subject)]

    def _awaits(self, name: str) -> bool:
        return any(wait.accepts(name) for wait in self._waits)


NO_RULES = RuleIndex()
