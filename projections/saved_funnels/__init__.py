"""Saved funnels: the latest definition of each."""

from __future__ import annotations

from projections.runtime.projection import Projection
from projections.saved_funnels import tables
from projections.saved_funnels.fold import apply
from projections.saved_funnels.queries import funnel, funnels

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    queries=(funnels, funnel),
    erase=lambda _tx, _scope: None,  # a funnel holds no profile's data
)
