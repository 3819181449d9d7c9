"""What was decided about rules, and what they did, as the ledger has it.  `domain.events.events` lists them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from domain.events.events import Event


class RuleDefined(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Somebody said what an automation rule does, from this position on.

    Its stream is the rule's; ``originator_version`` counts what was decided about it.
    """

    TOPIC: ClassVar[str] = "rule.defined.v1"

    rule: str
    """The id that people call it by."""

    name: str
    description: str = ""
    plan: bytes
    """As JSON, see `domain.rules.definition`."""

    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class RuleStatusChanged(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was decided about a rule that is defined."""

    rule: str
    occurred_at: datetime
    actor: str = ""
    reason: str = ""


class RuleEnabled(RuleStatusChanged, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From here on the rule acts on what happens."""

    TOPIC: ClassVar[str] = "rule.enabled.v1"


class RuleDisabled(RuleStatusChanged, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """From here on the rule does nothing; whoever was waiting in it waits no more."""

    TOPIC: ClassVar[str] = "rule.disabled.v1"


class RuleArchived(RuleStatusChanged, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The rule is gone; what it did stays known."""

    TOPIC: ClassVar[str] = "rule.archived.v1"


class TriggerFired(Event, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A rule fired for a person, this once for ever; its actions wait to be done.

    Its stream is one of the person's.
    """

    TOPIC: ClassVar[str] = "trigger.fired.v1"

    rule: str
    rule_version: int
    cause: str
    """What set the rule off: see `domain.evaluation.rule_runs`."""

    branch: str
    """Which of the rule's actions are done."""

    occurred_at: datetime
    """When it was due."""
