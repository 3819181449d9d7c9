"""Who is in which segment: now, at any time before, and why."""

from __future__ import annotations

from projections.base import Projection, Time
from projections.segments import attributes, tables
from projections.segments.fold import apply, sweep
from projections.segments.preview import preview, values_at
from projections.segments.queries import QUERIES, pages_of_members
from projections.segments.rehearsal import rehearse
from projections.segments.runs import to_fire, workspaces_to_fire, workspaces_with_rules
from projections.segments.stored import next_due
from projections.segments.triggers import QUERIES as RULES
from projections.segments.values import values_of

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
