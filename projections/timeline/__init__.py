"""Timeline: every recorded message by time, for one profile and for the workspace."""

from __future__ import annotations

from projections.runtime import erasure
from projections.runtime.projection import Projection
from projections.timeline import tables
from projections.timeline.detail import event
from projections.timeline.fold import apply
from projections.timeline.lists import events, profile_timeline

projection = Projection(
    tables.NAME,
    tables.VERSION,
    tables.metadata,
    apply,
    weight=6,
    queries=(events, event, profile_timeline),
    erase=erasure.erase_by_stream(tables.timeline, tables.first_message, tables.observation),
)
