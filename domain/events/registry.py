"""Every event class that the ledger can hold.  A new one is a class and its name here."""

from __future__ import annotations

from domain.events.events import (
    AttributeArchived,
    AttributeDefined,
    AttributesChanged,
    Erased,
    Event,
    FunnelArchived,
    FunnelDefined,
    IdentifiersLinked,
    Listed,
    Merged,
    SegmentArchived,
    SegmentDefined,
    Suppressed,
    SuppressionLifted,
    SystemOccurred,
    Tracked,
    Unmerged,
)
from domain.events.rule_events import (
    RuleArchived,
    RuleDefined,
    RuleDisabled,
    RuleEnabled,
    TriggerFired,
)

EVENTS: tuple[type[Event], ...] = (
    Tracked,
    AttributesChanged,
    Merged,
    Unmerged,
    IdentifiersLinked,
    Erased,
    Suppressed,
    SuppressionLifted,
    SegmentDefined,
    SegmentArchived,
    FunnelDefined,
    FunnelArchived,
    Listed,
    AttributeDefined,
    AttributeArchived,
    RuleDefined,
    RuleEnabled,
    RuleDisabled,
    RuleArchived,
    TriggerFired,
    SystemOccurred,
)
