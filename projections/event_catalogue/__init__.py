"""Event catalogue: the event names seen, their counts, and the properties of their events."""

from __future__ import annotations

from projections.event_catalogue import tables
from projections.event_catalogue.fold import apply
from projections.event_catalogue.queries import event_types
from projections.runtime.projection import Projection

projection = Projection(
    tables.NAME, tables.VERSION, tables.metadata, apply, weight=2, queries=(event_types,)
)
