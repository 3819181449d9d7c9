"""Events of automation rules: definitions, status changes and firings."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from domain.events.events import DefinedEvent, DefinitionEvent, Event


class RuleDefined(DefinedEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An automation rule was defined or replaced."""

    TOPIC: ClassVar[str] = "rule.defined.v1"

    rule: str
    """The rule's id in the API."""

    plan: bytes
    """JSON, see `domain.rules.definition`."""


class RuleStatusChanged(DefinitionEvent, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The status of a defined rule changed."""

    rule: str


class RuleEnabled(RuleStatusChanged, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The rule was enabled: from this position on it triggers runs."""

    TOPIC: ClassVar[str] = "rule.enabled.v1"


class RuleDisabled(RuleStatusChanged, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The rule was disabled: it triggers no runs, and its waiting runs were cancelled."""

    TOPIC: ClassVar[str] = "rule.disabled.v1"


class RuleArchived(RuleStatusChanged, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The rule was archived; its history stays."""

    TOPIC: ClassVar[str] = "rule.archived.v1"


class TriggerFired(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A rule fired for a profile, once for ever; its actions were queued as deliveries.

    Recorded in one of the profile's streams.
    """

    TOPIC: ClassVar[str] = "trigger.fired.v1"

    rule: str
    rule_version: int
    cause: str
    """Key of the trigger: see `domain.evaluation.rule_runs`."""

    branch: str
    """Which branch of the rule's actions was queued."""

    occurred_at: datetime
    """When the firing was due."""
