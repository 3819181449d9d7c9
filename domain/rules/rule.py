"""An automation rule, and what was decided about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self

from domain.core.errors import InvalidRequest, NotFound
from domain.core.naming import check_id, check_texts, decoded
from domain.events.events import NIL, Event
from domain.events.rule_events import (
    RuleArchived,
    RuleDecree,
    RuleDefined,
    RuleDisabled,
    RuleEnabled,
)
from domain.rules import definition as plans
from domain.rules.definition import Plan
from domain.segments.segment import By, references


class Definition(NamedTuple):
    """What somebody wants a rule to be."""

    name: str
    description: str = ""
    plan: bytes = b""
    """As JSON: `domain.rules.definition`."""


class Rule(NamedTuple):
    """What was decided about one rule so far."""

    id: str
    definition: Definition | None = None
    """None: it was never defined."""

    enabled: bool = False
    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    defined: int = 0
    """The version of the definition that is in effect."""

    def after(self, event: Event) -> Self:
        """Return the rule as it is after a decision."""
        version = self.version + 1
        match event:
            case RuleDefined():
                return self._replace(
                    definition=Definition(event.name, event.description, event.plan),
                    archived=False,
                    version=version,
                    defined=version,
                )
            case RuleEnabled() | RuleDisabled():
                return self._replace(enabled=isinstance(event, RuleEnabled), version=version)
            case RuleArchived():
                return self._replace(enabled=False, archived=True, version=version)
        return self

    @property
    def is_there(self) -> bool:
        """Whether it can be enabled."""
        return self.definition is not None and not self.archived

    @property
    def asks_about(self) -> frozenset[str]:
        """Ids of the segments that it needs."""
        return frozenset() if self.definition is None else _segments(read(self.definition.plan))

    def define(
        self, wanted: Definition, is_segment: Callable[[str], bool], by: By
    ) -> RuleDefined | None:
        """Return the decision that makes it so; None if it is so already.

        A new rule is not enabled; one that is enabled stays so.  ``is_segment`` says whether there is a
        segment by an id.  Raises InvalidRequest for what cannot be.
        """
        check_id("rule", self.id, "welcome")
        check_texts("rule", *wanted)
        for segment in sorted(_segments(read(wanted.plan))):
            if not is_segment(segment):
                raise InvalidRequest(f"there is no segment {segment!r}", path="", missing=segment)
        if self.is_there and wanted == self.definition:
            return None
        return RuleDefined(
            id=NIL,
            rule=self.id,
            name=wanted.name,
            description=wanted.description,
            plan=wanted.plan,
            occurred_at=by.at,
            actor=by.actor,
            reason=by.reason,
        )

    def enable(self, by: By, *, enabled: bool) -> RuleDecree | None:
        """Return the decision that it acts from now on, or does nothing; None if it is so already.

        Raises NotFound if it is not there.
        """
        self._check_there()
        kind = RuleEnabled if enabled else RuleDisabled
        return None if self.enabled == enabled else self._decree(kind, by)

    def archive(self, by: By) -> RuleDecree:
        """Return the decision that it is gone.  Raises NotFound if it is not there."""
        self._check_there()
        return self._decree(RuleArchived, by)

    def _check_there(self) -> None:
        if not self.is_there:
            raise NotFound(f"there is no rule {self.id!r}", rule=self.id)

    def _decree(self, kind: type[RuleDecree], by: By) -> RuleDecree:
        return kind(id=NIL, rule=self.id, occurred_at=by.at, actor=by.actor, reason=by.reason)


def read(plan: bytes) -> Plan:
    """Return the plan that JSON text spells.  Raises InvalidRequest with the place."""
    return plans.read(decoded("rule", plan))


def _segments(plan: Plan) -> frozenset[str]:
    asked = frozenset[str]().union(*(references(it) for it in plan.conditions))
    return asked if plan.trigger.segment is None else asked | {plan.trigger.segment}
