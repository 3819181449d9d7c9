"""An automation rule as an aggregate: its definition, and whether it is enabled."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self

from domain.core.actor import Actor
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
from domain.rules.definition import RuleDefinition, parse_definition
from domain.segments.segment import referenced_segments


class RuleVersion(NamedTuple):
    """One version of a rule's definition."""

    name: str
    description: str = ""
    plan: bytes = b""
    """JSON: see `domain.rules.definition`."""


class Rule(NamedTuple):
    """The current state of one rule, folded from its events."""

    id: str
    definition: RuleVersion | None = None
    """None if the rule was never defined."""

    enabled: bool = False
    archived: bool = False
    version: int = 0
    """Number of events about the rule so far."""

    definition_version: int = 0
    """The `version` at which the current definition was recorded."""

    def apply(self, event: Event) -> Self:
        """Returns the state after an event; other events change nothing."""
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
        """Whether the rule is defined and not archived."""
        return self.definition is not None and not self.archived

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that its trigger and audience refer to."""
        return (
            frozenset()
            if self.definition is None
            else _referenced_segments(decode_definition(self.definition.plan))
        )

    def define(
        self, definition: RuleVersion, is_segment: Callable[[str], bool], actor: Actor
    ) -> RuleDefined | None:
        """Returns the event that puts a definition into effect; None if it is in effect already.

        A new rule starts disabled; an enabled rule stays enabled.  ``is_segment`` returns whether a segment
        with that id exists.  Raises InvalidRequest for an invalid definition.
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
        """Returns the event that enables or disables the rule; None if that is its state already.

        Raises NotFound if the rule does not exist.
        """
        self._check_exists()
        event_class = RuleEnabled if enabled else RuleDisabled
        return None if self.enabled == enabled else self._status_event(event_class, actor)

    def archive(self, actor: Actor) -> RuleStatusChanged:
        """Returns the event that archives the rule.  Raises NotFound if it does not exist."""
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
    """Parses a rule from JSON text.  Raises InvalidRequest with a JSON pointer in `path`."""
    return parse_definition(decode_json("rule", plan))


def _referenced_segments(definition: RuleDefinition) -> frozenset[str]:
    segments = frozenset[str]().union(*map(referenced_segments, definition.conditions))
    return (
        segments if definition.trigger.segment is None else segments | {definition.trigger.segment}
    )
