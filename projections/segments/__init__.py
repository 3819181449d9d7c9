"""Read model of segments and rules: memberships with their history, and rule runs."""

from __future__ import annotations

from projections.runtime.projection import Projection, Timers
from projections.segments import tables
from projections.segments.fold import apply, sweep
from projections.segments.queries.attributes import QUERIES as ATTRIBUTE_QUERIES
from projections.segments.queries.dry_run import dry_run_rule
from projections.segments.queries.preview import preview_computed_value, preview_condition
from projections.segments.queries.rules import QUERIES as RULE_QUERIES
from projections.segments.queries.segments import QUERIES as SEGMENT_QUERIES
from projections.segments.queries.segments import iterate_member_pages
from projections.segments.queries.values import ComputedAttributeReads
from projections.segments.state.reader import next_timers
from projections.segments.state.rule_runs import (
    load_due_firings,
    workspaces_with_due_firings,
    workspaces_with_rules,
)

__all__ = [
    "ComputedAttributeReads",
    "dry_run_rule",
    "iterate_member_pages",
    "load_due_firings",
    "preview_computed_value",
    "preview_condition",
    "projection",
    "sweep",
    "workspaces_with_due_firings",
    "workspaces_with_rules",
]

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    queries=(*SEGMENT_QUERIES, *ATTRIBUTE_QUERIES, *RULE_QUERIES),
    timers=Timers(next_due=next_timers, advance_to=sweep),
)
