"""Registry of all event classes.  A new event type is a class and its entry here."""

from __future__ import annotations

from domain.events.events import (
    AttributesChanged,
    ComputedAttributeArchived,
    ComputedAttributeDefined,
    Event,
    EventTracked,
    FunnelArchived,
    FunnelDefined,
    IdentifiersLinked,
    ManualListChanged,
    ProfileErased,
    ProfilesMerged,
    ProfilesUnmerged,
    ProfileSuppressed,
    ProfileSuppressionLifted,
    SegmentArchived,
    SegmentDefined,
    SystemEventOccurred,
)
from domain.events.rule_events import (
    RuleArchived,
    RuleDefined,
    RuleDisabled,
    RuleEnabled,
    TriggerFired,
)

EVENT_CLASSES: tuple[type[Event], ...] = (
    EventTracked,
    AttributesChanged,
    ProfilesMerged,
    ProfilesUnmerged,
    IdentifiersLinked,
    ProfileErased,
    ProfileSuppressed,
    ProfileSuppressionLifted,
    SegmentDefined,
    SegmentArchived,
    FunnelDefined,
    FunnelArchived,
    ManualListChanged,
    ComputedAttributeDefined,
    ComputedAttributeArchived,
    RuleDefined,
    RuleEnabled,
    RuleDisabled,
    RuleArchived,
    TriggerFired,
    SystemEventOccurred,
)
