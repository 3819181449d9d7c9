"""Who is in which segment: now, at any time before, and why."""

from __future__ import annotations

from projections.base import Projection
from projections.segments import tables
from projections.segments.fold import apply, sweep

__all__ = ["projection", "sweep"]

projection = Projection(
    name=tables.NAME,
    version=tables.VERSION,
    metadata=tables.metadata,
    apply=apply,
    queries=(),
)
