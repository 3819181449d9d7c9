"""An automation rule, and what was decided about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self

from domain.core.errors import InvalidRequest, NotFound
from domain.core.naming import check_id, check_texts, decode_json
from domain.events.events import NIL, Event
from domain.events.rule_events import (
    RuleArchived,
    RuleDefined,
    RuleDisabled,
    RuleEnabled,
    RuleStatusChanged,
)
from domain.rules import definition as plans
from domain.rules.definition import RuleDefinition
from domain.segments.segment import Actor, referenced_segments


class RuleVersion(NamedTuple):
    """What somebody wants a rule to be."""

    name: str
    description: str = ""
    plan: bytes = b""
    """As JSON: `domain.rules.definition`."""


class Rule(NamedTuple):
    """What was decided about one rule so far."""

    id: str
    definition: RuleVersion | None = None
    """None: it was never defined."""

    enabled: bool = False
    archived: bool = False
    version: int = 0
    """How many decisions that took."""

    definition_version: int = 0
    """The version of the definition that is in effect."""

    def apply(self, event: Event) -> Self:
        """Return the rule as it is after a decision."""
        version = self.version + 1
        match event:
            case RuleDefined():
                return self._replace(
                    definition=RuleVersion(event.name, event.description, event.plan),
                    archived=False,
                    version=version,
                    definition_version=version,
                )
            case RuleEnabled() | RuleDisabled():
                return self._replace(enabled=isinstance(event, RuleEnabled), version=version)
            case RuleArchived():
                return self._replace(enabled=False, archived=True, version=version)
        return self

    @property
    def exists(self) -> bool:
        """Whether it can be enabled."""
        return self.definition is not None and not self.archived

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that it needs."""
        return (
            frozenset()
            if self.definition is None
            else _referenced_segments(decode_definition(self.definition.plan))
        )

    def define(
        self, definition: RuleVersion, is_segment: Callable[[str], bool], actor: Actor
    ) -> RuleDefined | None:
        """Return the decision that makes it so; None if it is so already.

        A new rule is not enabled; one that is enabled stays so.  ``is_segment`` says whether there is a
        segment by an id.  Raises InvalidRequest for what cannot be.
        """
        check_id("rule", self.id, "welcome")
        check_texts("rule", *definition)
        for segment in sorted(_referenced_segments(decode_definition(definition.plan))):
            if not is_segment(segment):
                raise InvalidRequest(f"there is no segment {segment!r}", path="", missing=segment)
        if self.exists and definition == self.definition:
            return None
        return RuleDefined(
            id=NIL,
            rule=self.id,
            name=definition.name,
            description=definition.description,
            plan=definition.plan,
            occurred_at=actor.at,
            actor=actor.name,
            reason=actor.reason,
        )

    def enable(self, actor: Actor, *, enabled: bool) -> RuleStatusChanged | None:
        """Return the decision that it acts from now on, or does nothing; None if it is so already.

        Raises NotFound if it is not there.
        """
        self._check_exists()
        event_class = RuleEnabled if enabled else RuleDisabled
        return None if self.enabled == enabled else self._status_event(event_class, actor)

    def archive(self, actor: Actor) -> RuleStatusChanged:
        """Return the decision that it is gone.  Raises NotFound if it is not there."""
        self._check_exists()
        return self._status_event(RuleArchived, actor)

    def _check_exists(self) -> None:
        if not self.exists:
            raise NotFound(f"there is no rule {self.id!r}", rule=self.id)

    def _status_event(
        self, event_class: type[RuleStatusChanged], actor: Actor
    ) -> RuleStatusChanged:
        return event_class(
            id=NIL, rule=self.id, occurred_at=actor.at, actor=actor.name, reason=actor.reason
        )


def decode_definition(plan: bytes) -> RuleDefinition:
    """Return the plan that JSON text spells.  Raises InvalidRequest with the place."""
    return plans.parse_definition(decode_json("rule", plan))


def _referenced_segments(definition: RuleDefinition) -> frozenset[str]:
    segments = frozenset[str]().union(*(referenced_segments(it) for it in definition.conditions))
    return (
        segments if definition.trigger.segment is None else segments | {definition.trigger.segment}
    )
