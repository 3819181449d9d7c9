"""An automation rule as an aggregate: its definition, and whether it is enabled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from domain.conditions import referenced_segments
from domain.core.actor import Actor
from domain.core.errors import InvalidRequest
from domain.core.naming import decode_json
from domain.definitions.definition import Definition, DefinitionVersion, References
from domain.events.events import DefinitionEvent, Event
from domain.events.rule_events import RuleArchived, RuleDefined, RuleDisabled, RuleEnabled
from domain.rules.definition import RuleDefinition, parse_definition, parse_recorded_definition


@dataclass(frozen=True)
class Rule(Definition):
    """The current state of one rule, folded from its events.

    The document of its definition is described in `domain.rules.definition`.
    """

    KIND: ClassVar[str] = "rule"
    KEY: ClassVar[str] = "rule"
    EXAMPLE_ID: ClassVar[str] = "welcome"
    DEFINED: ClassVar[type[RuleDefined]] = RuleDefined
    DOCUMENT: ClassVar[str] = "plan"
    ARCHIVED: ClassVar[type[DefinitionEvent]] = RuleArchived

    enabled: bool = False
    """A new rule is disabled; an enabled rule that is replaced stays enabled."""

    definition_version: int = 0
    """The `version` at which the current definition was recorded."""

    @classmethod
    def content_of(cls, event: DefinitionEvent) -> object:
        """Returns what an event changed; whether the rule is enabled, if it changed that."""
        if isinstance(event, RuleEnabled | RuleDisabled):
            return isinstance(event, RuleEnabled)
        return super().content_of(event)

    def apply(self, event: Event) -> Self:
        """Returns the state after an event; other events change nothing."""
        rule = super().apply(event)
        match event:
            case RuleDefined():
                return replace(rule, definition_version=rule.version)
            case RuleEnabled() | RuleDisabled():
                enabled = isinstance(event, RuleEnabled)
                return replace(rule, enabled=enabled, version=rule.version + 1)
            case RuleArchived():
                return replace(rule, enabled=False)
        return rule

    @property
    def referenced_segments(self) -> frozenset[str]:
        """Ids of the segments that its trigger and audience refer to."""
        if self.definition is None:
            return frozenset()
        return _referenced_segments(decode_definition(self.definition.document))

    def check(self, definition: DefinitionVersion, references: References) -> None:
        """Raises InvalidRequest for an invalid rule."""
        super().check(definition, references)
        for segment in sorted(_referenced_segments(check_definition(definition.document))):
            if not references.segment(segment).exists:
                raise InvalidRequest(f"there is no segment {segment!r}", path="", missing=segment)

    def enable(self, actor: Actor, *, enabled: bool) -> DefinitionEvent | None:
        """Returns the event that enables or disables the rule; None if that is its state already.

        Raises NotFound if the rule does not exist.
        """
        self.require_exists()
        event_class = RuleEnabled if enabled else RuleDisabled
        return None if self.enabled == enabled else self.status_event(event_class, actor)


def decode_definition(plan: bytes) -> RuleDefinition:
    """Parses a recorded rule from JSON text; an action may be unknown to this version."""
    return parse_recorded_definition(decode_json("rule", plan))


def check_definition(plan: bytes) -> RuleDefinition:
    """Parses a new rule from JSON text.  Raises InvalidRequest with a JSON pointer in `path`."""
    return parse_definition(decode_json("rule", plan))


def definition_warnings(plan: bytes) -> list[dict[str, str]]:
    """Returns what a recorded rule cannot do: JSON pointers in `path`, and messages."""
    return [
        {"path": action.path, "message": action.problem}
        for action in decode_definition(plan).unsupported_actions
    ]


def _referenced_segments(definition: RuleDefinition) -> frozenset[str]:
    segments = frozenset[str]().union(*map(referenced_segments, definition.conditions))
    return (
        segments if definition.trigger.segment is None else segments | {definition.trigger.segment}
    )
