"""Who is in which segment: now, at any time before, and why."""

from __future__ import annotations

from projections.runtime.projection import Projection, Time
from projections.segments import tables
from projections.segments.definitions import attributes
from projections.segments.fold import apply, sweep
from projections.segments.queries.dry_run import rehearse
from projections.segments.queries.preview import preview, values_at
from projections.segments.queries.rules import QUERIES as RULES
from projections.segments.queries.segments import QUERIES, pages_of_members
from projections.segments.queries.values import values_of
from projections.segments.state.reader import next_due
from projections.segments.state.rule_runs import to_fire, workspaces_to_fire, workspaces_with_rules

__all__ = [
    "pages_of_members",
    "preview",
    "projection",
    "rehearse",
    "sweep",
    "to_fire",
    "values_at",
    "values_of",
    "workspaces_to_fire",
    "workspaces_with_rules",
]

projection = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    apply=apply,
    queries=(*QUERIES, *attributes.QUERIES, *RULES),
    time=Time(due=next_due, passes=sweep),
)
